import type {ReaderPool} from '../../core/readers.ts'
import type {RefreshFeed} from '../../core/refresh-feed.ts'
import type {DatabasePool} from '../../db/pool.ts'
import type {ListenAddress} from '../../lib/listen-address.ts'
import type {LogEntry} from '../../observe/log.ts'
import type {Connections} from '../connections.ts'
import type {HealthSource} from '../health.ts'
import type {RefusalLog} from './refusal-log.ts'

/** The result of one refresh, for metrics. */
interface CountedRefresh {
  /** As a person writes it. */
  view: string
  status: 'success' | 'unchanged' | 'error' | 'canceled'
  durationMs: number | null
}

/** The context of all routes. */
export interface ApiContext {
  /** Sessions for short requests. */
  pool: DatabasePool
  /** Sessions for reading views, separate, so that readers cannot use up the sessions of administrators. */
  readers: ReaderPool
  /** Whether these sessions have the rights of a login of their own. */
  hasReaderLogin: boolean
  /** Tells when views were refreshed. */
  feed: RefreshFeed
  /** Sessions for refreshes, one each. */
  refreshes: DatabasePool
  /** The value of AYB_ADMIN_TOKEN. */
  token: string
  /** The value of AYB_READ_TOKEN; null without it. */
  readToken: string | null
  /** Websites whose pages may read views; `*` for all. */
  corsOrigins: readonly string[]
  /** Whether views may be read without the token. */
  hasPublicCollections: boolean
  /** Whether unregistered views may be read. */
  hasAllViews: boolean
  /** Where the server listens. */
  listen: ListenAddress
  /** Further host names, in lower case, that requests may use. */
  allowedHosts: readonly string[]
  connections: Connections
  refusals: RefusalLog
  health: HealthSource
  /** Aborts, with the error to end with, when the shutdown timeout is over. */
  cutOff: AbortSignal
  log(entry: LogEntry): void
  onRefresh(refresh: CountedRefresh): void
}
