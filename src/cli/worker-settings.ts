import {parseDuration, parseLockDuration, parseRetention} from '../lib/duration.ts'
import {invalidArgument} from '../lib/errors.ts'
import {type ListenAddress, parseListenAddress} from '../lib/listen-address.ts'
import {LOG_LEVELS, type LogLevel} from '../lib/log-level.ts'

/** The environment variables of `ayb worker`. An AYB server reads the first three, too. */
export const WORKER_ENV = {
  concurrency: 'AYB_JOBS_WORKER_CONCURRENCY',
  pollInterval: 'AYB_JOBS_POLL_INTERVAL_MS',
  leaseDuration: 'AYB_JOBS_LEASE_DURATION_S',
  refreshTimeout: 'AYB_JOBS_REFRESH_TIMEOUT',
  lockTimeout: 'AYB_JOBS_LOCK_TIMEOUT',
  lockRetryFor: 'AYB_JOBS_LOCK_RETRY_FOR',
  shutdownTimeout: 'AYB_JOBS_SHUTDOWN_TIMEOUT',
  retention: 'AYB_JOBS_RETENTION',
  listen: 'AYB_JOBS_LISTEN',
  logFormat: 'AYB_JOBS_LOG_FORMAT',
  logLevel: 'AYB_JOBS_LOG_LEVEL',
  enabled: 'AYB_JOBS_ENABLED',
} as const

const MOST_CONCURRENCY = 1000

/** The flags of `ayb worker` as they were typed; durations in milliseconds. */
interface WorkerFlags {
  concurrency?: number | undefined
  'poll-interval'?: number | undefined
  'lease-duration'?: number | undefined
  'refresh-timeout'?: number | undefined
  'lock-timeout'?: number | undefined
  'lock-retry-for'?: number | undefined
  'shutdown-timeout'?: number | undefined
  retention?: number | undefined
  listen?: string | undefined
  'log-format'?: string | undefined
  'log-level'?: string | undefined
}

/**
 * The settings of the worker: flags override the environment, which overrides the defaults. Durations in
 * milliseconds.
 * @throws AybError INVALID_ARGUMENT
 */
export function workerSettings(flags: WorkerFlags, env: NodeJS.ProcessEnv) {
  if (env[WORKER_ENV.enabled]?.toLowerCase() === 'false') {
    throw invalidArgument(
      `${WORKER_ENV.enabled} is false, so the worker does not start`,
      `unset ${WORKER_ENV.enabled}`,
    )
  }
  const number = (flag: number | undefined, name: string, fallback: number): number =>
    flag ?? wholeNumber(env[name], name) ?? fallback
  const duration = (flag: number | undefined, name: string): number | null =>
    flag ??
    (env[name] ? parseDuration(env[name], name, {isZeroFine: name === WORKER_ENV.shutdownTimeout}) : null)
  const lockDuration = (flag: number | undefined, name: string): number | null =>
    flag ?? (env[name] ? parseLockDuration(env[name], name) : null)
  /** The name of a setting for an error: the flag or the variable that set it. */
  const source = (flag: number | string | undefined, flagName: string, name: string): string =>
    flag === undefined && env[name] ? name : flagName
  const settings = {
    concurrency: number(flags.concurrency, WORKER_ENV.concurrency, 4),
    pollIntervalMs: number(flags['poll-interval'], WORKER_ENV.pollInterval, 5000),
    leaseMs: flags['lease-duration'] ?? number(undefined, WORKER_ENV.leaseDuration, 300) * 1000,
    refreshTimeoutMs: duration(flags['refresh-timeout'], WORKER_ENV.refreshTimeout),
    lockTimeoutMs: lockDuration(flags['lock-timeout'], WORKER_ENV.lockTimeout),
    lockRetryForMs: lockDuration(flags['lock-retry-for'], WORKER_ENV.lockRetryFor),
    shutdownTimeoutMs: duration(flags['shutdown-timeout'], WORKER_ENV.shutdownTimeout) ?? 25_000,
    retentionMs: retention(flags.retention, env[WORKER_ENV.retention]),
    listen: listenSetting(
      flags.listen ?? (env[WORKER_ENV.listen] || undefined),
      source(flags.listen, '--listen', WORKER_ENV.listen),
    ),
    logFormat: logFormat(flags['log-format'] ?? (env[WORKER_ENV.logFormat] || undefined)),
    logLevel: logLevel(flags['log-level'] ?? (env[WORKER_ENV.logLevel] || undefined)),
  }
  const concurrency = source(flags.concurrency, '--concurrency', WORKER_ENV.concurrency)
  atLeast(settings.concurrency, 1, concurrency)
  if (settings.concurrency > MOST_CONCURRENCY) {
    throw invalidArgument(
      `${concurrency}: ${settings.concurrency} is over ${MOST_CONCURRENCY}`,
      'run more workers',
    )
  }
  const pollInterval = source(flags['poll-interval'], '--poll-interval', WORKER_ENV.pollInterval)
  atLeast(settings.pollIntervalMs, 10, pollInterval, ' ms')
  const leaseDuration = source(flags['lease-duration'], '--lease-duration', WORKER_ENV.leaseDuration)
  atLeast(settings.leaseMs, 1000, leaseDuration, ' ms')
  return settings
}

function retention(flag: number | undefined, text: string | undefined): number {
  return flag ?? (text ? parseRetention(text, WORKER_ENV.retention) : 30 * 86_400_000)
}

function wholeNumber(text: string | undefined, name: string): number | undefined {
  if (text === undefined || text === '') return undefined
  if (!/^\d{1,9}$/.test(text)) {
    throw invalidArgument(`${name}: ${JSON.stringify(text)} is not a whole number`, 'for example: 4')
  }
  return Number(text)
}

function atLeast(value: number, least: number, what: string, unit = ''): void {
  if (value < least) {
    throw invalidArgument(
      `${what} must be at least ${least}${unit}, and is ${value}${unit}`,
      'remove the variable to use the default',
    )
  }
}

const listenSetting = (text: string | undefined, what: string): ListenAddress | null =>
  text === undefined ? null : parseListenAddress(text, what, '127.0.0.1:9187')

function logFormat(text: string | undefined): 'pretty' | 'json' | null {
  if (text === undefined || text === 'pretty' || text === 'json') return text ?? null
  const name = WORKER_ENV.logFormat
  throw invalidArgument(
    `${name}: ${JSON.stringify(text)} is not a log format`,
    'the formats are pretty and json',
  )
}

function logLevel(text: string | undefined): LogLevel | null {
  const level = LOG_LEVELS.find((known) => known === text) ?? null
  if (text === undefined || level !== null) return level
  const name = WORKER_ENV.logLevel
  throw invalidArgument(
    `${name}: ${JSON.stringify(text)} is not a level of a log`,
    'there are debug, info, warn and error',
  )
}
