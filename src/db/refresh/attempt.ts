import type {PostgresSettings} from '../../lib/postgres-settings.ts'
import type {RefreshTarget} from '../../lib/records/registrations.ts'
import type {RefreshMode} from '../../lib/records/values.ts'
import type {Database} from '../database.ts'
import type {SeenBefore} from '../fingerprint/note.ts'
import type {RefreshJob} from '../queue/fence.ts'

/** What is set for the REFRESH statement alone. Durations in milliseconds; null means no limit. */
interface StatementSettings {
  timeoutMs: number | null
  /** How long this try may wait for a lock. */
  lockTimeoutMs: number | null
  postgres: PostgresSettings
}

/** One attempt at a refresh, from the moment that it holds the lock. */
export interface Attempt {
  /**
   * The id of the run, chosen beforehand: after a lost connection, such a run shows that the refresh was
   * committed.
   */
  runId: string
  registration: RefreshTarget
  mode: RefreshMode
  /** Why the refresh is not as asked for; null where it is. */
  reason: string | null
  /** The fingerprint of the view and of everything that it reads; null where nobody asks for changes. */
  seen: SeenBefore | null
  /** Null for a refresh by hand. */
  job: RefreshJob | null
  settings: StatementSettings
  /** How long earlier tries waited for the lock of the view. */
  lockWaitMs: number
  /** By the server's clock, exact to the microsecond. */
  startedAt: string
}

/** What a run tells of who started it. */
export const triggerOf = ({job}: Attempt): 'manual' | 'schedule' => (job ? 'schedule' : 'manual')

/** The settings as a run stores them, as JSON; null where there are none. */
export const storedSettingsOf = ({settings: {postgres}}: Attempt): string | null =>
  Object.keys(postgres).length === 0 ? null : JSON.stringify(postgres)

/** Whether the run of an attempt is there, so that its job was settled with it. */
export async function isRecorded({session, tables}: Database, runId: string): Promise<boolean> {
  const rows = await session.query(`select from ${tables.runs} h where h.id = $1`, [runId])
  return rows.length > 0
}

/** The first call loads node:crypto, which takes 2 to 4 ms. */
export const newRunId = (): string => process.getBuiltinModule('node:crypto').randomUUID()
