/** One side of a comparison. */
export interface Contestant {
  name: string
  /** Measures once, in a unit that all contestants share. */
  measure(): Promise<number>
}

/**
 * Lets each contestant measure once a round, in another order each time, so that a slow minute of the machine or a
 * place in the order falls to nobody alone. Returns for each the values by round.
 */
export async function runRounds(
  contestants: readonly Contestant[],
  rounds: number,
  onRound: (round: number) => void = () => {},
): Promise<(name: string) => readonly number[]> {
  const values = new Map(contestants.map(({name}): [string, number[]] => [name, []]))
  for (let round = 1; round <= rounds; round++) {
    for (const {name, measure} of shuffled(contestants)) values.get(name)?.push(await measure())
    onRound(round)
  }
  return (name) => values.get(name) ?? []
}

function shuffled<T>(items: readonly T[]): T[] {
  const keyed = items.map((item) => ({item, key: Math.random()}))
  return keyed.sort((a, b) => a.key - b.key).map(({item}) => item)
}
