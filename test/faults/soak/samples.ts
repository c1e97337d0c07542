import {residentMb} from '../../bench/load/memory.ts'
import {median} from '../../bench/statistics.ts'
import type {Stage} from './faults.ts'

/** One look at all that must not grow. */
export interface Sample {
  /** Since the beginning. */
  atMs: number
  survivorMb: number
  /** Null while it is being replaced. */
  victimMb: number | null
  /** Of workers on the server; null, as what follows, while the database is away. */
  sessions: number | null
  /** Advisory locks: one a view in hand, and one a session. */
  locks: number | null
  /** Jobs that are not done. */
  open: number | null
  done: number | null
}

type Counts = Pick<Sample, 'sessions' | 'locks' | 'open' | 'done'>

const AWAY: Counts = {sessions: null, locks: null, open: null, done: null}

export async function takeSample(stage: Stage, startedAt: number): Promise<Sample> {
  const {survivor, victim} = stage
  const [survivorMb, victimMb, counts] = await Promise.all([
    residentMb(survivor.pid),
    residentMb(victim.pid).catch(() => null),
    count(stage).catch(() => AWAY),
  ])
  return {atMs: performance.now() - startedAt, survivorMb, victimMb, ...counts}
}

async function count({db}: Stage): Promise<Counts> {
  const [row] = await db.query(
    `select (select count(*)::int from pg_stat_activity
              where datname = current_database() and application_name = 'ayb worker') as sessions,
            (select count(*)::int from pg_locks
              where locktype = 'advisory'
                and database = (select oid from pg_database where datname = current_database())) as locks,
            (select count(*)::int from _ayb_jobs where state in ('queued', 'running')) as open,
            (select count(*)::int from _ayb_jobs where state = 'completed') as done`,
  )
  return row as Counts
}

/** What is watched, in the second quarter of the time and in the last one. */
export interface Level {
  what: string
  second: number
  last: number
  isLevel: boolean
}

/** What may be added between the quarters: in a short soak, code is still being compiled. */
const SHORT_MS = 5 * 60_000
const memoryAllowed = (durationMs: number) => (mb: number) =>
  durationMs < SHORT_MS ? mb * 1.1 + 8 : mb * 1.05 + 2
/** One of five sessions may be between two lives. */
const COUNT_MARGIN = 2

/** Whether the last quarter holds no more than the second: in the first, everything is still being opened. */
export function levelsOf(samples: readonly Sample[]): Level[] {
  const quarter = Math.floor(samples.length / 4)
  const second = samples.slice(quarter, 2 * quarter)
  const last = samples.slice(-quarter)
  const level = (
    what: string,
    read: (sample: Sample) => number | null,
    sum: (values: readonly number[]) => number,
    allowed: (n: number) => number,
  ) => {
    const of = (part: readonly Sample[]) => sum(part.map(read).filter((value) => value !== null))
    const [before, after] = [of(second), of(last)]
    return {what, second: before, last: after, isLevel: after <= allowed(before)}
  }
  return [
    level(
      'least resident MB of the worker that lives on',
      ({survivorMb}) => survivorMb,
      // The floor: right behind a garbage collection, what is left is what is held.
      (values) => Math.min(...values),
      memoryAllowed(samples.at(-1)?.atMs ?? 0),
    ),
    level(
      'sessions of workers',
      ({sessions}) => sessions,
      median,
      (n) => n + COUNT_MARGIN,
    ),
    level(
      'advisory locks',
      ({locks}) => locks,
      median,
      (n) => n + COUNT_MARGIN,
    ),
  ]
}

/** One line, columns of fixed width. */
export function describeSample({atMs, survivorMb, victimMb, sessions, locks, open, done}: Sample): string {
  const cells = [
    `${Math.round(atMs / 1000)} s`.padStart(6),
    `${survivorMb.toFixed(0)} MB`.padStart(7),
    `${victimMb?.toFixed(0) ?? '-'} MB`.padStart(7),
    ...[sessions, locks, open, done].map((count) => String(count ?? '-').padStart(8)),
  ]
  return cells.join(' ')
}

export const SAMPLE_HEADER = '  time  lives on  killed sessions    locks     open     done'
