import type {Session} from './session.ts'

/**
 * A CREATE UNIQUE INDEX statement for each view, on existing columns that look unique: first the columns that
 * are a key of a base table, unless statistics disagree, then the columns that are unique and never null by
 * the statistics. The statement is an estimate, made without reading the view; null if no column can be
 * indexed. The origin of a column comes from the rule of the view, as the parser noted it (resorigtbl,
 * resorigcol), which is split into words: names have no blanks there, and a pattern takes ten times as long.
 * Statistics are read column by column (offset 0), since reading all of pg_stats takes seconds with thousands
 * of views.
 */
export async function suggestUniqueIndexes(
  session: Session,
  views: readonly {oid: number}[],
): Promise<Map<number, string | null>> {
  if (views.length === 0) return new Map()
  const rows = await session.query<{oid: number; statement: string | null; is_guess: boolean}>(
    `with wanted as materialized (
       select c.oid, n.nspname, c.relname
         from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where c.oid = any ($1::oid[])),
     col as materialized (
       select w.oid, w.nspname, w.relname, a.attnum, a.attname, a.atttypid
         from wanted w
         join pg_attribute a on a.attrelid = w.oid and a.attnum > 0 and not a.attisdropped),
     indexable as materialized (
       select t.oid
         from pg_type t
        where t.oid in (select atttypid from col)
          and (t.typtype in ('e', 'r', 'm') or t.typcategory = 'A'
               or exists (select from pg_opclass k join pg_am m on m.oid = k.opcmethod
                           where m.amname = 'btree' and k.opcdefault
                             and (k.opcintype in (t.oid, t.typbasetype)
                                  or exists (select from pg_cast x where x.castsource in (t.oid, t.typbasetype)
                                               and x.casttarget = k.opcintype and x.castmethod = 'b' and x.castcontext = 'i'))))),
     entry as materialized (
       select r.ev_class as oid, left(e, 300) as text
         from pg_rewrite r, unnest((string_to_array(r.ev_action::text, ' :resno '))[2:]) as e
        where r.ev_class = any ($1::oid[]) and r.rulename = '_RETURN'),
     origin as materialized (
       select oid, split_part(text, ' ', 1)::int as attnum,
              split_part(text, ' ', 7)::oid as base_table, split_part(text, ' ', 9)::int as base_column
         from entry
        where split_part(text, ' ', 6) = ':resorigtbl' and split_part(text, ' ', 8) = ':resorigcol'
          and split_part(text, ' ', 10) = ':resjunk' and starts_with(split_part(text, ' ', 11), 'false')),
     key as materialized (
       select o.oid, o.attnum, b.atttypid
         from origin o
         join pg_attribute b on b.attrelid = o.base_table and b.attnum = o.base_column
        where exists (select from pg_index i
                       where i.indrelid = o.base_table and i.indisunique and i.indimmediate and i.indisvalid
                         and i.indpred is null and i.indnkeyatts = 1 and i.indkey[0] = b.attnum)),
     candidate as materialized (
       select col.oid, col.attnum, col.attname,
              (col.oid, col.attnum, col.atttypid) in (select oid, attnum, atttypid from key) as is_key,
              s.n_distinct = -1 and s.null_frac = 0 as looks_unique
         from col
         left join lateral (
           select n_distinct, null_frac from pg_stats
            where schemaname = col.nspname and tablename = col.relname and attname = col.attname offset 0) s on true
        where col.atttypid in (select oid from indexable)),
     ranked as (
       select *, case when is_key and looks_unique is not false then 1
                      when looks_unique then 2
                      when is_key then 3 end as rank
         from candidate),
     best as (
       select distinct on (oid) oid, attname from ranked
        where rank is not null order by oid, rank, looks_unique desc nulls last, attnum),
     every as (
       select oid, string_agg(quote_ident(attname), ', ' order by attnum) as columns
         from (select *, row_number() over (partition by oid order by attnum) as position from candidate) c
        where position <= 32
        group by oid)
     select w.oid, best.oid is null as is_guess,
            format('CREATE UNIQUE INDEX ON %I.%I (%s);', w.nspname, w.relname,
                   coalesce(quote_ident(best.attname), every.columns)) as statement
       from wanted w
       join every on every.oid = w.oid
       left join best on best.oid = w.oid`,
    [views.map((view) => view.oid)],
  )
  const statements = new Map<number, string | null>(views.map((view) => [view.oid, null]))
  for (const row of rows) {
    const remark = row.is_guess
      ? 'no column is known to be unique: choose columns that are'
      : 'an estimate: check that it is unique'
    statements.set(row.oid, `${row.statement} -- ${remark}`)
  }
  return statements
}
