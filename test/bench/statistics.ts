/**
 * The value below which that share of the values lies, between two of them by straight line; `share` from 0
 * to 1.
 * @throws Error without values
 */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  const position = (sorted.length - 1) * share
  const below = sorted[Math.floor(position)]
  const above = sorted[Math.ceil(position)]
  if (below === undefined || above === undefined) throw new Error('no values to take a quantile of')
  return below + (above - below) * (position - Math.floor(position))
}

/** The value in the middle. */
export const median = (values: readonly number[]): number => quantile(values, 0.5)

/** Half the distance between the quartiles: half of all values lie at most about that far from the median. */
export const spread = (values: readonly number[]): number =>
  (quantile(values, 0.75) - quantile(values, 0.25)) / 2

/** The median with its spread and unit, `312 ms (±14)`; without the spread where there is one value alone. */
export function describeValues(values: readonly number[], unit: string): string {
  const middle = median(values)
  const digits = middle >= 100 ? 0 : middle >= 10 ? 1 : 2
  const text = `${middle.toFixed(digits)} ${unit}`
  return values.length > 1 ? `${text} (±${spread(values).toFixed(digits)})` : text
}

/**
 * The median of the rounds' ratios: what slows a round down slows both sides. Where one side took part in
 * fewer rounds, the ratio of the medians.
 */
export function medianRatio(ours: readonly number[], theirs: readonly number[]): number {
  if (ours.length !== theirs.length) return median(ours) / median(theirs)
  return median(ours.map((value, round) => value / (theirs[round] ?? Number.NaN)))
}
