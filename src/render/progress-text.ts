import {describeWait} from '../lib/blockers.ts'
import {formatDuration} from '../lib/duration.ts'
import {bounded} from '../lib/outside-text.ts'
import {printable} from '../lib/printable.ts'
import type {RefreshEvent, RefreshPhase} from '../lib/refresh-events.ts'
import {displayWidth, shortenMiddle} from './width.ts'

/** How far work is. */
export interface Progress {
  /** `Refreshing public.leaderboard` */
  label: string
  /** What the work does at the moment, or waits for; empty where that is unknown. */
  detail: string
  /** As performance.now() tells it. */
  startedAt: number
  /** Null where the history does not tell. */
  usualMs: number | null
}

/**
 * What an event says about the progress of the refresh of a view; nothing where the event changes nothing.
 */
export function progressAfter(event: RefreshEvent, view: string): Partial<Progress> {
  const label = `Refreshing ${view}`
  switch (event.type) {
    case 'queued':
      return {label: `Waiting for ${view}`, detail: ''}
    case 'refreshing':
      return {label, detail: ''}
    case 'unchanged':
      return {label: `Looking again at ${view}, which looks unchanged`, detail: ''}
    case 'blocked':
      return {label, detail: describeWait(event.blockers, event.waitedMs)}
    case 'phase':
      return {label, detail: phaseText(event.phase)}
    case 'usual':
      return {usualMs: event.durationMs}
    default:
      return {}
  }
}

function phaseText(phase: RefreshPhase): string {
  switch (phase.name) {
    case 'query':
      return 'running its query'
    case 'index':
      return `building index ${phase.number} of ${phase.total}`
    case 'analyze':
      return `analyzing the result, ${phase.percent} %`
    case 'compare':
      return 'comparing the result'
    case 'merge':
      return 'writing what differs'
  }
}

/**
 * `Refreshing public.leaderboard, running its query  1.4 s (usually 5.0 s, 3.6 s left)`, as much of it as
 * fits so many columns. The time stays for longest.
 */
export function progressText(
  {label, detail, startedAt, usualMs}: Progress,
  now: number,
  columns = Number.POSITIVE_INFINITY,
): string {
  const elapsedMs = now - startedAt
  const elapsed = `  ${formatElapsed(elapsedMs)}`
  const left = usualMs !== null && usualMs > elapsedMs ? `${formatDuration(usualMs - elapsedMs)} left` : ''
  const usually = usualMs === null ? '' : `usually ${formatDuration(usualMs)}`
  const short = printable(bounded(label))
  const long = detail === '' ? short : `${short}, ${printable(bounded(detail))}`
  const all = [usually, left].filter(Boolean).join(', ')
  for (const text of [
    `${long}${elapsed}${inParentheses(all)}`,
    `${long}${elapsed}${inParentheses(left)}`,
    `${long}${elapsed}`,
    `${short}${elapsed}${inParentheses(left)}`,
    `${short}${elapsed}`,
  ]) {
    if (displayWidth(text) <= columns) return text
  }
  const room = columns - elapsed.length
  return room < 1 ? shortenMiddle(short, columns) : `${shortenMiddle(short, room)}${elapsed}`
}

const inParentheses = (text: string): string => (text === '' ? '' : ` (${text})`)

/** In tenths from the start, so that the text does not jump with every frame. */
function formatElapsed(ms: number): string {
  return ms < 59_950 ? `${(ms / 1000).toFixed(1)} s` : formatDuration(ms)
}
