import {watchStolen} from './processor.ts'

/**
 * Where the host took away more than this share of the processors, a measurement says nothing, and is
 * repeated.
 */
const STOLEN_LIMIT = 0.03
const ATTEMPTS = 3

/** One side of a comparison. */
export interface Contestant<Result> {
  name: string
  /** Measures once. All that is to be known of it is in the result: it may not be the attempt that counts. */
  measure(): Promise<Result>
}

/**
 * Lets each contestant measure once a round, in another order each time, so that a slow minute of the machine
 * or a place in the order falls to nobody alone. Returns for each the results by round, of undisturbed
 * attempts alone.
 */
export async function runRounds<Result>(
  contestants: readonly Contestant<Result>[],
  rounds: number,
  onRound: (round: number) => void = () => {},
  watch = watchStolen,
): Promise<(name: string) => readonly Result[]> {
  const results = new Map(contestants.map(({name}): [string, Result[]] => [name, []]))
  for (let round = 1; round <= rounds; round++) {
    for (const {name, measure} of shuffled(contestants)) {
      results.get(name)?.push(await undisturbed(measure, watch))
    }
    onRound(round)
  }
  return (name) => results.get(name) ?? []
}

/**
 * Measures, and again where the host of a virtual machine disturbed it: of three times that it did, the last
 * one counts.
 */
export async function undisturbed<T>(measure: () => Promise<T>, watch = watchStolen): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    const stolenShare = watch()
    const result = await measure()
    if (stolenShare() <= STOLEN_LIMIT || attempt === ATTEMPTS) return result
  }
}

function shuffled<T>(items: readonly T[]): T[] {
  const keyed = items.map((item) => ({item, key: Math.random()}))
  return keyed.sort((a, b) => a.key - b.key).map(({item}) => item)
}
