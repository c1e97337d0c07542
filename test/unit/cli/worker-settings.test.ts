import {describe, expect, test} from 'vitest'
import {workerSettings} from '../../../src/cli/worker-settings.ts'

describe('the settings of a worker', () => {
  test('have defaults', () => {
    expect(workerSettings({}, {})).toEqual({
      concurrency: 4,
      pollIntervalMs: 5000,
      leaseMs: 300_000,
      refreshTimeoutMs: null,
      lockTimeoutMs: null,
      lockRetryForMs: null,
      shutdownTimeoutMs: 25_000,
      retentionMs: 30 * 86_400_000,
      listen: null,
      logFormat: null,
      logLevel: null,
    })
  })

  const env = {
    AYB_JOBS_WORKER_CONCURRENCY: '8',
    AYB_JOBS_POLL_INTERVAL_MS: '250',
    AYB_JOBS_LEASE_DURATION_S: '60',
    AYB_JOBS_REFRESH_TIMEOUT: '2h',
    AYB_JOBS_LOCK_TIMEOUT: '500ms',
    AYB_JOBS_LOCK_RETRY_FOR: '0',
    AYB_JOBS_SHUTDOWN_TIMEOUT: '1m',
    AYB_JOBS_RETENTION: '0',
    AYB_JOBS_LISTEN: ':9187',
    AYB_JOBS_LOG_FORMAT: 'pretty',
    AYB_JOBS_LOG_LEVEL: 'debug',
    AYB_JOBS_ENABLED: 'true',
  }

  test('come from the environment', () => {
    expect(workerSettings({}, env)).toEqual({
      concurrency: 8,
      pollIntervalMs: 250,
      leaseMs: 60_000,
      refreshTimeoutMs: 7_200_000,
      lockTimeoutMs: 500,
      lockRetryForMs: 0,
      shutdownTimeoutMs: 60_000,
      retentionMs: 0,
      listen: {host: '::', port: 9187},
      logFormat: 'pretty',
      logLevel: 'debug',
    })
  })

  test('of flags beat those', () => {
    const flags = {
      concurrency: 1,
      'poll-interval': 10,
      'lease-duration': 1000,
      'refresh-timeout': 1,
      'lock-timeout': 2,
      'lock-retry-for': 60_000,
      'shutdown-timeout': 0,
      retention: 1000,
      listen: '[::1]:0',
      'log-format': 'json',
      'log-level': 'error',
    }
    expect(workerSettings(flags, env)).toEqual({
      concurrency: 1,
      pollIntervalMs: 10,
      leaseMs: 1000,
      refreshTimeoutMs: 1,
      lockTimeoutMs: 2,
      lockRetryForMs: 60_000,
      shutdownTimeoutMs: 0,
      retentionMs: 1000,
      listen: {host: '::1', port: 0},
      logFormat: 'json',
      logLevel: 'error',
    })
  })

  test('that are empty count as absent', () => {
    const empty = Object.fromEntries(Object.keys(env).map((name) => [name, '']))
    expect(workerSettings({}, empty)).toEqual(workerSettings({}, {}))
  })

  test.each([
    ['AYB_JOBS_WORKER_CONCURRENCY', '0'],
    ['AYB_JOBS_LOG_LEVEL', 'loud'],
    ['AYB_JOBS_WORKER_CONCURRENCY', '1001'],
    ['AYB_JOBS_WORKER_CONCURRENCY', '1.5'],
    ['AYB_JOBS_POLL_INTERVAL_MS', '5s'],
    ['AYB_JOBS_POLL_INTERVAL_MS', '0'],
    ['AYB_JOBS_LEASE_DURATION_S', '0'],
    ['AYB_JOBS_REFRESH_TIMEOUT', '5'],
    ['AYB_JOBS_LOCK_TIMEOUT', 'soon'],
    ['AYB_JOBS_SHUTDOWN_TIMEOUT', '-1s'],
    ['AYB_JOBS_RETENTION', '30'],
    ['AYB_JOBS_LISTEN', 'localhost'],
    ['AYB_JOBS_LISTEN', 'localhost:65536'],
    ['AYB_JOBS_LOG_FORMAT', 'xml'],
    ['AYB_JOBS_ENABLED', 'FALSE'],
  ])('%s=%s is refused by its name', (name, value) => {
    expect(() => workerSettings({}, {[name]: value})).toThrow(new RegExp(name))
  })
})
