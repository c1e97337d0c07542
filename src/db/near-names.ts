/**
 * How many names "did you mean" compares: the names that share the most letters with the input. Sending all
 * of 20,000 names would take longer than the search.
 */
export const MOST_NEAR_NAMES = 1000

/**
 * SQL: a subquery named `typed` with the pairs of neighbouring letters in the parameter `$n`, the input. A
 * typing mistake changes few pairs.
 */
export const typedPairs = (n: number): string =>
  `typed as materialized (
       select array_agg(distinct lower(substr($${n}::text, at, 2))) as pairs, length($${n}::text) as letters
         from generate_series(1, least(length($${n}::text), 100) - 1) as at)`

/**
 * SQL: sorts names (`name` is an expression of type text) by their similarity to the input of `typedPairs`.
 */
export const byNearness = (name: string): string =>
  `(select count(*) from typed, unnest(typed.pairs) as pair where strpos(lower(${name}), pair) > 0) desc,
              abs(length(${name}) - (select letters from typed))`
