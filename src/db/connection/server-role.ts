import type pg from 'pg'
import {abortable} from '../../lib/abort.ts'
import {HostFailure} from './host-failure.ts'
import type {SessionAttrs} from './settings/settings.ts'

interface RoleRow {
  is_standby: boolean
  is_read_only: boolean
}

const MISMATCHES: Readonly<Record<SessionAttrs, (server: RoleRow) => string | null>> = {
  any: () => null,
  'read-write': (server) => (server.is_read_only ? 'the session is read-only' : null),
  'read-only': (server) => (server.is_read_only ? null : 'the session is not read-only'),
  primary: (server) => (server.is_standby ? 'the server is a standby' : null),
  standby: (server) => (server.is_standby ? null : 'the server is not a standby'),
  'prefer-standby': () => null,
}

/**
 * Ends the session again where the server is not of the kind that `target_session_attrs` asks for.
 * @throws HostFailure of kind unsuitable
 */
export async function requireRole(
  client: pg.Client,
  wanted: SessionAttrs,
  signal: AbortSignal,
): Promise<void> {
  if (wanted === 'any') return
  const {rows} = await abortable(
    client.query<RoleRow>(
      `select pg_catalog.pg_is_in_recovery() as is_standby,
              pg_catalog.current_setting('transaction_read_only')::pg_catalog.bool as is_read_only`,
    ),
    signal,
  )
  const mismatch = rows[0] ? MISMATCHES[wanted](rows[0]) : 'the server does not say whether it is a standby'
  if (mismatch === null) return
  await abortable(client.end(), signal)
  throw new HostFailure('unsuitable', mismatch, `target_session_attrs=${wanted} asks for another server`)
}
