import {formatDuration} from '../lib/duration.ts'
import {localTime} from '../lib/local-time.ts'
import type {LogLevel} from '../lib/log-level.ts'
import {presentable, withPresentableTexts} from '../lib/outside-text.ts'
import {printable, printableJson} from '../lib/printable.ts'

/** What a line of a log says. */
export interface LogFields {
  msg: string
  view?: string | null
  jobId?: string
  /** The name of the schedule. */
  schedule?: string | null
  scheduleId?: string | null
  attempt?: number
  durationMs?: number | undefined
  error?: string | undefined
  /** Of the line alone; without it, of the whole log. */
  workerId?: string
  [field: string]: unknown
}

/** One line of a log. */
export interface LogEntry extends LogFields {
  level: LogLevel
  /** The name of what happened, for programs: `refresh.succeeded`. */
  event: string
}

/** Colours a text if the terminal shows colours. */
export type Paint = (style: 'dim' | 'red' | 'yellow' | 'cyan', text: string) => string

const MARKS = {debug: 'dim', info: 'cyan', warn: 'yellow', error: 'red'} as const

/**
 * One JSON object per line: time, level, msg and further fields, the worker last. Fields that are null or
 * undefined are left out. Written field by field, since a worker writes a line for each refresh.
 */
export function jsonLine(entry: LogEntry, now: Date, workerId: string | null = null): string {
  let line = `{"time":"${now.toISOString()}","level":"${entry.level}","msg":${jsonOf(entry.msg)}`
  for (const field in entry) {
    if (field === 'level' || field === 'msg') continue
    const value = entry[field]
    if (value !== null && value !== undefined) line += `,"${field}":${jsonOf(value)}`
  }
  if (workerId !== null && entry.workerId === undefined) line += `,"workerId":${jsonOf(workerId)}`
  return `${line}}`
}

const jsonOf = (value: unknown): string => printableJson(withPresentableTexts(value))

/**
 * A line for people: local time with its zone, level, message, view, duration and error, and what they can
 * search for.
 */
export function prettyLine(entry: LogEntry, now: Date, paint: Paint): string {
  const {level, msg, event, view, schedule, workerId, durationMs, error} = entry
  const time = localTime(now)
  const parts = [forLine(msg)]
  if (view) parts.push(forLine(view))
  if (durationMs !== undefined) parts.push(`in ${formatDuration(durationMs)}`)
  const text = parts.join(' ')
  const line = error ? `${text}: ${forLine(error)}` : text
  const marks = [`event=${event}`]
  if (schedule) marks.push(`schedule=${marked(schedule)}`)
  if (workerId) marks.push(`worker=${marked(workerId)}`)
  return `${paint('dim', time)} ${paint(MARKS[level], level.padEnd(5))} ${line} ${paint('dim', marks.join(' '))}`
}

/** In quotes, if the text would not be one word. */
const marked = (text: string): string => forLine(/[\s"=]/.test(text) ? JSON.stringify(text) : text)

/** Text from a database must not break the line, move the cursor or reorder the output. */
const forLine = (text: string): string => printable(presentable(text).replace(/[\t\n\r]/g, ' '))
