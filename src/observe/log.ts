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

/** A line for people: local time, level, message, view, duration and error. */
export function prettyLine(entry: LogEntry, now: Date, paint: Paint): string {
  const {level, msg, view, durationMs, error} = entry
  const time = now.toTimeString().slice(0, 8)
  const parts = [forLine(msg)]
  if (view) parts.push(forLine(view))
  if (durationMs !== undefined) parts.push(`in ${formatDuration(durationMs)}`)
  const text = parts.join(' ')
  const line = error ? `${text}: ${forLine(error)}` : text
  return `${paint('dim', time)} ${paint(MARKS[level], level.padEnd(5))} ${line}`
}

/** Text from a database must not break the line, move the cursor or reorder the output. */
const forLine = (text: string): string => printable(presentable(text).replace(/[\t\n\r]/g, ' '))
