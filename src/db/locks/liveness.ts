import {randomBytes} from 'node:crypto'
import type {Blocker} from '../../lib/errors.ts'
import type {Session} from '../session.ts'
import {heldKey} from './advisory-keys.ts'
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
 * Holds the key with this session, shared: whoever sees it held knows that the worker has a session left.
 * Null then; else who is in the way. Anybody can read the key, and a session that waits for it alone keeps
 * all further ones from it.
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
 * Whether the key is the one advisory lock that the session holds: the query of a view can take others, and
 * let go of this one. Behind a pooler, where it holds nothing, it is not asked.
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

/** The shortest time between two statements of a worker that has jobs in hand, and a while. */
const AWAKE_MS = 7000
/** SQL: the same as an interval. */
export const AWAKE = `interval '${AWAKE_MS} ms'`

/** What became of one worker whose sessions were to end. */
export interface EndedWorker {
  keyHex: string
  /** How many sessions were told to end. */
  ended: number
  /** Who holds the key where nobody whom this program may end does, as a person writes it; else null. */
  stranger: string | null
}

/**
 * Ends what is left of workers: one that was stopped in the middle must not wake up and write. Whoever may
 * write into the table of jobs can put any key there, so sessions end only where they are ayb's and of this
 * role, and only where none of the same key has begun or ended a statement of late, as that of a worker which
 * works does every five seconds. A session that refreshes goes on: an hour's work is not thrown away, and
 * what it holds is its own view.
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
        where l.locktype = 'advisory' and l.objsubid = 1 and l.granted and l.pid <> pg_backend_pid()
          and l.database = (select d.oid from pg_database d where d.datname = current_database())),
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
