import {randomBytes} from 'node:crypto'
import type {Blocker} from '../../lib/errors.ts'
import type {Session} from '../session.ts'
import {heldKey, isHeldKey} from './advisory-keys.ts'
import {findKeyWaiter} from './blockers.ts'

/**
 * A random 64-bit key as 16 hex digits, outside the 32 bits (and their sign extension) that the locks of
 * views are in.
 */
export function newLivenessKey(): string {
  for (;;) {
    const hex = randomBytes(8).toString('hex')
    const high = hex.slice(0, 8)
    if (high !== '00000000' && high !== 'ffffffff') return hex
  }
}

/**
 * Takes a shared lock on the key: while the lock is held, others know that the worker has a session left.
 * Returns null, or who is in the way. Anybody can read the key, and a session that waits for an exclusive
 * lock on it keeps further sessions from the shared lock.
 */
export async function holdLivenessKey(
  session: Session,
  keyHex: string,
): Promise<{by: Blocker | null} | null> {
  const rows = await session.query<{is_held: boolean; key: string}>(
    `with attempt as materialized (select ('x' || $1)::bit(64)::bigint as key)
     select pg_try_advisory_lock_shared(key) as is_held, key::text from attempt`,
    [keyHex],
  )
  const [row] = rows
  if (!row || row.is_held) return null
  return {by: await findKeyWaiter(session, row.key)}
}

/**
 * Whether the key is the only advisory lock of the session: the query of a view can take other locks, and
 * release this one. Not for pooled sessions, which hold no locks.
 */
export async function holdsKeyAlone(session: Session, keyHex: string): Promise<boolean> {
  if (session.isPooled) return true
  const rows = await session.query<{is_key: boolean}>(
    `select l.objsubid = 1 and l.mode = 'ShareLock'
            and ${heldKey('l')} = ('x' || $1)::bit(64)::bigint as is_key
       from pg_locks l
      where l.pid = pg_backend_pid() and l.locktype = 'advisory'`,
    [keyHex],
  )
  return rows.length === 1 && rows[0]?.is_key === true
}

/** Longer than a worker with jobs in hand ever pauses between two statements. */
const AWAKE_MS = 7000
/** SQL: the same as an interval. */
export const AWAKE = `interval '${AWAKE_MS} ms'`

/** The result for one worker whose sessions were to end. */
export interface EndedWorker {
  keyHex: string
  /** How many sessions were told to end. */
  ended: number
  /** Describes who holds the key, if this program may end none of its holders; else null. */
  stranger: string | null
}

/**
 * Ends the remaining sessions of workers: a worker that was stopped (SIGSTOP) must not wake up later and
 * write. Whoever may write into the table of jobs can put any key there, so only sessions of ayb with the
 * same role are ended, and only if no session of the same key has begun or ended a statement lately; a
 * working worker does that every five seconds. A session that runs a refresh is spared: it holds only the
 * lock of its own view, and may have worked for an hour.
 */
export async function endWorkers(
  session: Session,
  keys: readonly string[],
  {awakeMs = AWAKE_MS} = {},
): Promise<EndedWorker[]> {
  const rows = await session.query<{key_hex: string; ended: number; stranger: string | null}>(
    `with k as materialized (
       select x.hex, ('x' || x.hex)::bit(64)::bigint as key from unnest($1::text[]) as x(hex)),
     holder as materialized (
       select k.hex, l.pid, a.usename, a.application_name,
              coalesce(a.usename = session_user and a.application_name like 'ayb %', false) as is_ayb,
              coalesce(a.state = 'active', false)
                and exists (select from pg_locks v
                             where v.pid = l.pid and v.locktype = 'advisory' and v.objsubid = 1 and v.granted
                               and v.classid in (0, 4294967295) and v.database = l.database) as is_refreshing,
              greatest(a.query_start, a.state_change) > clock_timestamp() - $2 * interval '1 ms' as is_awake
         from k
         join pg_locks l on ${heldKey('l')} = k.key
         left join pg_stat_activity a on a.pid = l.pid
        where ${isHeldKey('l')} and l.pid <> pg_backend_pid()),
     worker as materialized (
       select h.hex, bool_or(h.is_ayb) as has_ayb, coalesce(bool_or(h.is_awake) filter (where h.is_ayb), false) as is_awake,
              min(format('pid %s, %s of role %s', h.pid, coalesce(nullif(h.application_name, ''), 'a session'),
                         coalesce(h.usename, '?'))) as holder
         from holder h
        group by h.hex)
     select w.hex as key_hex, case when not w.has_ayb then w.holder end as stranger,
            (select count(pg_terminate_backend(h.pid)) from holder h
              where h.hex = w.hex and h.is_ayb and not h.is_refreshing and not w.is_awake)::int as ended
       from worker w`,
    [keys, awakeMs],
  )
  return rows.map((row) => ({keyHex: row.key_hex, ended: row.ended, stranger: row.stranger}))
}
