import {expect, test} from 'vitest'
import {NoticeWatch} from '../../../../src/core/notices/watch.ts'
import type {WorkerEvent} from '../../../../src/lib/worker-events.ts'
import {until} from '../../../support/until.ts'

test('a bug in the work of notices is told as a warning, and ends neither the watch nor the process', async () => {
  const events: WorkerEvent[] = []
  let attempts = 0
  const watch = new NoticeWatch({
    open: async () => {
      attempts++
      throw new TypeError('x is not a function')
    },
    deliver: async () => [],
    after: 1,
    emit: (event) => events.push(event),
  })
  watch.start()
  await until(() => attempts > 0, {what: 'an attempt'})
  await watch.end({looks: true})
  expect(attempts).toBeGreaterThan(1)
  expect(events).toEqual([
    {type: 'warning', message: expect.objectContaining({message: 'notices wait: x is not a function'})},
  ])
})
