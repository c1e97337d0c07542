import {expect, test} from 'vitest'
import type {DatabasePool} from '../../../src/db/pool.ts'
import {healthOf, type WorkerHealth} from '../../../src/http/health.ts'

const MEASURED = {
  database: {name: 'shop', systemIdentifier: null},
  jobs: {queued: 1, running: 2, completed: 3, failed: 4, canceled: 5, waiting: 6},
  views: [],
  schedules: [],
  workers: 1,
}
const OBSERVER = {
  metrics: async (jobs: unknown) => ({contentType: 'text/plain', text: JSON.stringify(jobs)}),
}

const worker = (isUp: boolean): WorkerHealth => ({
  isTurning: isUp,
  isDatabaseUp: isUp,
  measure: async () => (isUp ? MEASURED : null),
})

const poolThat = (isReachable: boolean) =>
  ({
    isReachable: async () => isReachable,
    use: async () => MEASURED,
  }) as unknown as DatabasePool

const stateOf = async (parts: Pick<Parameters<typeof healthOf>[0], 'worker' | 'pool'>) => {
  const health = healthOf({...parts, observer: OBSERVER} as Parameters<typeof healthOf>[0])
  const {text} = await health.metrics()
  return {isAlive: await health.isAlive(), isReady: await health.isReady(), isCounted: text !== 'null'}
}

test.each([
  ['a worker', {worker: worker(true), pool: null}, [true, true, true]],
  ['a worker that hangs without a database', {worker: worker(false), pool: null}, [false, false, false]],
  ['a server', {worker: null, pool: poolThat(true)}, [true, true, true]],
  ['a server without a database', {worker: null, pool: poolThat(false)}, [true, false, false]],
  ['a server with a worker', {worker: worker(true), pool: poolThat(true)}, [true, true, true]],
  ['a server with a worker that hangs', {worker: worker(false), pool: poolThat(true)}, [false, false, true]],
  [
    'a server without a database, with a worker',
    {worker: worker(true), pool: poolThat(false)},
    [true, false, false],
  ],
])('the health of %s', async (_, parts, [isAlive, isReady, isCounted]) => {
  expect(await stateOf(parts)).toEqual({isAlive, isReady, isCounted})
})
