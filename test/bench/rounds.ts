import {watchStolen} from './processor.ts'

/** Where the host took away more than this share of the processors, a measurement says nothing, and is repeated. */
const STOLEN_LIMIT = 0.03
const ATTEMPTS = 3

/** One side of a comparison. */
export interface Contestant {
  name: string
  /** Measures once, in a unit that all contestants share. */
  measure(): Promise<number>
}

/**
 * Lets each contestant measure once a round, in another order each time, so that a slow minute of the machine or a
 * place in the order falls to nobody alone. Returns for each the values by round, none of them disturbed.
 */
export async function runRounds(
  contestants: readonly Contestant[],
  rounds: number,
  onRound: (round: number) => void = () => {},
): Promise<(name: string) => readonly number[]> {
  const values = new Map(contestants.map(({name}): [string, number[]] => [name, []]))
  for (let round = 1; round <= rounds; round++) {
    for (const {name, measure} of shuffled(contestants)) values.get(name)?.push(await undisturbed(measure))
    onRound(round)
  }
  return (name) => values.get(name) ?? []
}

/** Measures, and again where the host of a virtual machine disturbed it: of three times that it did, the last one counts. */
export async function undisturbed<T>(measure: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    const stolenShare = watchStolen()
    const value = await measure()
    if (stolenShare() <= STOLEN_LIMIT || attempt === ATTEMPTS) return value
  }
}

function shuffled<T>(items: readonly T[]): T[] {
  const keyed = items.map((item) => ({item, key: Math.random()}))
  return keyed.sort((a, b) => a.key - b.key).map(({item}) => item)
}
