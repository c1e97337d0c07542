import {formatDuration} from '../lib/duration.ts'
import {presentable, withPresentableTexts} from '../lib/outside-text.ts'
import {printable, printableJson} from '../lib/printable.ts'

type LogLevel = 'debug' | 'info' | 'warn' | 'error'

/** One line of a log. */
export interface LogEntry {
  level: LogLevel
  msg: string
  view?: string | null
  jobId?: string
  scheduleId?: string | null
  attempt?: number
  durationMs?: number | undefined
  error?: string | undefined
  [field: string]: unknown
}

/** Colours a text if the terminal shows colours. */
export type Paint = (style: 'dim' | 'red' | 'yellow' | 'cyan', text: string) => string

const MARKS = {debug: 'dim', info: 'cyan', warn: 'yellow', error: 'red'} as const

/**
 * One JSON object per line: time, level, msg and further fields. Fields that are null or undefined are left
 * out.
 */
export function jsonLine(entry: LogEntry, now: Date): string {
  const {level, msg, ...fields} = entry
  const known = Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== null && value !== undefined),
  )
  return printableJson({time: now.toISOString(), ...withPresentableTexts({level, msg, ...known})})
}

/** A line for people: local time with its zone, level, message, view, duration and error. */
export function prettyLine(entry: LogEntry, now: Date, paint: Paint): string {
  const {level, msg, view, durationMs, error} = entry
  const time = localTime(now)
  const parts = [forLine(msg)]
  if (view) parts.push(forLine(view))
  if (durationMs !== undefined) parts.push(`in ${formatDuration(durationMs)}`)
  const text = parts.join(' ')
  const line = error ? `${text}: ${forLine(error)}` : text
  return `${paint('dim', time)} ${paint(MARKS[level], level.padEnd(5))} ${line}`
}

/** `2026-03-01 13:00:00 +0100` */
function localTime(now: Date): string {
  const date = [now.getFullYear(), now.getMonth() + 1, now.getDate()]
  const [year, month, day] = date.map((part) => String(part).padStart(2, '0'))
  // `13:00:00 GMT+0100 (…)`
  const [clock, zone = ''] = now.toTimeString().split(' ')
  return `${year}-${month}-${day} ${clock} ${zone.replace('GMT', '')}`
}

/** Text from a database must not break the line, move the cursor or reorder the output. */
const forLine = (text: string): string => printable(presentable(text).replace(/[\t\n\r]/g, ' '))
