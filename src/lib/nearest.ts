import {distance} from 'fastest-levenshtein'

/** The candidate that somebody who typed `text` most likely meant; null where none is near. */
export function nearest(text: string, candidates: Iterable<string>): string | null {
  const typed = text.toLowerCase()
  let best: string | null = null
  let bestDistance = Math.max(1, Math.floor(typed.length / 3)) + 1
  for (const candidate of candidates) {
    const steps = distance(typed, candidate.toLowerCase())
    if (steps < bestDistance && candidate !== text) {
      best = candidate
      bestDistance = steps
    }
  }
  return best
}
