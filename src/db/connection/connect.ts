import {type Attempt, type Connected, connectToHost} from './connect-host.ts'
import {connectionFailed} from './connection-error.ts'
import {type ConnectionTarget, where} from './connection-target.ts'
import {HostFailure} from './host-failure.ts'
import {resolveSettings, type SessionAttrs} from './settings/settings.ts'

export type {Connected, ConnectionTarget}

export interface ConnectOptions {
  /** `--database-url`; beats AYB_DATABASE_URL, DATABASE_URL and PG*. */
  databaseUrl?: string | undefined
  /** What an error calls `databaseUrl` that cannot be understood; `--database-url` without it. */
  urlName?: string | undefined
  env: NodeJS.ProcessEnv
  /** What `pg_stat_activity` shows. */
  applicationName: string
  /** Whether the session runs the same statements again and again, and so is to plan each but once. */
  keepsStatements?: boolean | undefined
  /** Ends the attempt at once. */
  signal?: AbortSignal | undefined
  /** Told of each host before it is tried, with its name and port. */
  onAttempt?: ((place: string) => void) | undefined
}

/**
 * Connects like psql would from the same environment, within 10 s per host by default.
 * @throws AybError CONNECTION_FAILED, or the signal's reason
 */
export async function connect(options: ConnectOptions): Promise<Connected> {
  const {databaseUrl, urlName, env, applicationName, signal} = options
  signal?.throwIfAborted()
  const settings = resolveSettings(databaseUrl, env, urlName)
  const attempt: Attempt = {settings, applicationName}
  const hosts = settings.shouldShuffleHosts ? shuffled(settings.hosts) : settings.hosts

  let tried: {target: ConnectionTarget; failure: HostFailure}[] = []
  for (const wanted of passes(settings.sessionAttrs)) {
    tried = []
    for (const host of hosts) {
      const target = {host: host.host, port: host.port, database: settings.database, user: settings.user}
      options.onAttempt?.(where(target))
      try {
        return await connectToHost(attempt, host, wanted, signal)
      } catch (error) {
        signal?.throwIfAborted()
        if (!(error instanceof HostFailure)) throw error
        tried.push({target, failure: error})
        if (!error.isWorthNextHost) throw connectionFailed(tried, settings)
      }
    }
    if (!tried.some(({failure}) => failure.kind === 'unsuitable')) break
  }
  throw connectionFailed(tried, settings)
}

const passes = (attrs: SessionAttrs): SessionAttrs[] =>
  attrs === 'prefer-standby' ? ['standby', 'any'] : [attrs]

function shuffled<T>(items: readonly T[]): T[] {
  return items
    .map((item) => ({item, key: Math.random()}))
    .sort((a, b) => a.key - b.key)
    .map(({item}) => item)
}
