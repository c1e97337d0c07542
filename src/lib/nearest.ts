import {distance} from 'fastest-levenshtein'

/** The candidate that is most similar to `text`; null if none is similar. */
export function nearest(text: string, candidates: Iterable<string>): string | null {
  const typed = text.toLowerCase()
  let best: string | null = null
  let bestDistance = Math.max(1, Math.floor(typed.length / 3)) + 1
  for (const candidate of candidates) {
    const name = candidate.toLowerCase()
    // The distance is at least the difference in length. A megabyte is not compared with each candidate.
    if (Math.abs(name.length - typed.length) >= bestDistance) continue
    const steps = distance(typed, name)
    if (steps < bestDistance && candidate !== text) {
      best = candidate
      bestDistance = steps
    }
  }
  return best
}
