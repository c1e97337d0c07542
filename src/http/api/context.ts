import type {ReaderPool} from '../../core/readers.ts'
import type {DatabasePool} from '../../db/pool.ts'
import type {ListenAddress} from '../../lib/listen-address.ts'
import type {LogEntry} from '../../observe/log.ts'
import type {Connections} from '../connections.ts'
import type {HealthSource} from '../health.ts'
import type {RefusalLog} from './refusal-log.ts'

/** How one refresh ended, for whoever counts. */
interface CountedRefresh {
  /** As a person writes it. */
  view: string
  status: 'success' | 'error' | 'canceled'
  durationMs: number | null
}

/** What the routes work with. */
export interface ApiContext {
  /** For all that is short. */
  pool: DatabasePool
  /** For reading views, which may be public: whoever reads keeps nobody from administering. */
  readers: ReaderPool
  /** For refreshes, each on a session of its own. */
  refreshes: DatabasePool
  /** What AYB_ADMIN_TOKEN has. */
  token: string
  /** Whether views may be read without the token. */
  hasPublicCollections: boolean
  /** Whether views may be read that nobody registered. */
  hasAllViews: boolean
  /** Where the server listens. */
  listen: ListenAddress
  /** Further names, in lower case, under which requests may ask for the server. */
  allowedHosts: readonly string[]
  connections: Connections
  refusals: RefusalLog
  health: HealthSource
  /** Aborted, with the error to end with, when refreshes have had time enough to finish. */
  cutOff: AbortSignal
  log(entry: LogEntry): void
  onRefresh(refresh: CountedRefresh): void
}
