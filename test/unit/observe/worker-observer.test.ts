import {PassThrough} from 'node:stream'
import {text} from 'node:stream/consumers'
import {describe, expect, test} from 'vitest'
import type {LogLevel} from '../../../src/lib/log-level.ts'
import type {WorkerEvent} from '../../../src/lib/worker-events.ts'
import {observeWorker} from '../../../src/observe/worker-observer.ts'

async function observed(leastLevel: LogLevel, events: readonly WorkerEvent[]) {
  const stream = new PassThrough()
  const observer = await observeWorker({
    ...{stream, format: 'json' as const, leastLevel, hasMetrics: false, version: '1'},
    ...{paint: (_: string, words: string) => words, hintOf: () => null},
  })
  for (const event of events) observer.onEvent(event)
  const lines = (await text(stream.end())).split('\n')
  return lines.filter(Boolean).map((line) => JSON.parse(line))
}

const facts = {jobId: 'j', schedule: null, scheduleId: null, attempt: 1}
const began = {type: 'job-started', ...facts, view: 'public.v', latenessMs: 1, pastTries: 0} as const

describe('the log of a worker', () => {
  test('words no line that is not written', async () => {
    const unread = Object.defineProperty({...began}, 'view', {
      get: () => expect.unreachable('the event was worded'),
    })
    expect(await observed('info', [unread])).toEqual([])
    expect(await observed('debug', [began])).toMatchObject([{level: 'debug', event: 'refresh.started'}])
  })

  test('names the worker in each line, under the id that it has by then', async () => {
    const lines = await observed('debug', [
      {type: 'started', workerId: 'first', concurrency: 4, server: 'db'},
      began,
      {type: 'database-lost', error: 'gone'},
      {type: 'database-back', workerId: 'second'},
      {type: 'job-rescued', ...facts, view: null, workerId: 'dead', isOwn: false, state: 'queued'},
      {type: 'stopped'},
    ])
    expect(lines.map(({workerId}) => workerId)).toEqual([
      ...['first', 'first', 'first', 'second', 'second', 'second'],
    ])
  })
})
