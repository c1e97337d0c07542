import {randomBytes} from 'node:crypto'
import type {Session} from './session.ts'

/**
 * A random 64-bit key as 16 hex digits, outside the 32 bits (and their sign extension) that the locks of views
 * are in.
 */
export function newLivenessKey(): string {
  for (;;) {
    const hex = randomBytes(8).toString('hex')
    const high = hex.slice(0, 8)
    if (high !== '00000000' && high !== 'ffffffff') return hex
  }
}

/** Holds the key with this session, shared: whoever sees it held knows that the worker has a session left. */
export async function holdLivenessKey(session: Session, keyHex: string): Promise<void> {
  await session.query(`select pg_advisory_lock_shared(('x' || $1)::bit(64)::bigint)`, [keyHex])
}

/**
 * Whether the key is the one advisory lock that the session holds: the query of a view can take others, and let go of
 * this one. Behind a pooler, where it holds nothing, it is not asked.
 */
export async function holdsKeyAlone(session: Session, keyHex: string): Promise<boolean> {
  if (session.isPooled) return true
  const rows = await session.query<{is_key: boolean}>(
    `select l.objsubid = 1 and l.mode = 'ShareLock'
            and (l.classid::bigint << 32) | l.objid::bigint = ('x' || $1)::bit(64)::bigint as is_key
       from pg_locks l
      where l.pid = pg_backend_pid() and l.locktype = 'advisory'`,
    [keyHex],
  )
  return rows.length === 1 && rows[0]?.is_key === true
}

/** Ends all sessions of a worker that hold its key: one that was stopped in the middle must not wake up and write. */
export async function endWorker(session: Session, keyHex: string): Promise<number> {
  const rows = await session.query(
    `select pg_terminate_backend(l.pid)
       from pg_locks l
      where l.locktype = 'advisory' and l.objsubid = 1 and l.mode = 'ShareLock' and l.granted
        and (l.classid::bigint << 32) | l.objid::bigint = ('x' || $1)::bit(64)::bigint
        and l.database = (select d.oid from pg_database d where d.datname = current_database())
        and l.pid <> pg_backend_pid()`,
    [keyHex],
  )
  return rows.length
}
