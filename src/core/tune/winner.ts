/** A difference below this share of the time now is not worth a change. */
const LEAST_GAIN = 0.1
/** Of few times, the spread is often small by chance. */
const DOUBT_SHARE = 1.25
/** Fewer say nothing about how much the times spread. */
const FEWEST_ROUNDS = 2

export function median(values: readonly number[]): number | null {
  if (values.length === 0) return null
  const sorted = [...values].sort((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  const upper = sorted[middle] as number
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] as number) + upper) / 2
}

export const spread = (values: readonly number[]): number | null =>
  values.length === 0 ? null : Math.max(...values) - Math.min(...values)

/**
 * Whether the one is faster than the other beyond doubt: each of its times is shorter than each of the
 * other's, and the medians differ by more than what the times of either spread, and what is usual here.
 */
function isFaster(one: readonly number[], other: readonly number[], usualSpread: number): boolean {
  const gain = (median(other) ?? 0) - (median(one) ?? 0)
  const doubt = DOUBT_SHARE * Math.max(spread(one) ?? 0, spread(other) ?? 0, usualSpread)
  return Math.max(...one) < Math.min(...other) && gain > doubt && gain > LEAST_GAIN * (median(other) ?? 0)
}

/**
 * The place of the candidate to prefer, by the times of each; null where no difference can be told. The
 * first is how it is done now, and keeps its place unless another is faster. Of several that are as fast as
 * the fastest, the first.
 */
export function winnerOf(times: readonly (readonly number[])[]): number | null {
  const measured = times.flatMap((values, place) => (values.length >= FEWEST_ROUNDS ? [{values, place}] : []))
  const usualSpread = median(measured.map(({values}) => spread(values) ?? 0)) ?? 0
  const [now, ...others] = measured
  if (now?.place !== 0 || others.length === 0) return null
  const faster = others.filter(({values}) => isFaster(values, now.values, usualSpread))
  const best = [...faster].sort((a, b) => (median(a.values) ?? 0) - (median(b.values) ?? 0))[0]
  if (best) {
    const first = faster.find(({values}) => !isFaster(best.values, values, usualSpread))
    return first?.place ?? best.place
  }
  return others.every(({values}) => isFaster(now.values, values, usualSpread)) ? 0 : null
}
