import {DatabaseError} from 'pg'
import {beforeEach, expect, test} from 'vitest'
import {WarningThrottle} from '../../../../src/core/worker/warning-throttle.ts'
import {StatementError} from '../../../../src/db/sqlstate.ts'
import {AybError, type Blocker} from '../../../../src/lib/errors.ts'

const TEN_MINUTES = 600_000

let now: number
let throttle: WarningThrottle

beforeEach(() => {
  now = 1000
  throttle = new WarningThrottle(() => now)
})

/** As the driver reports that the disk is full. */
function diskFull(file: string): StatementError {
  const error = new DatabaseError(`could not extend file "${file}": No space left on device`, 0, 'error')
  return new StatementError(Object.assign(error, {code: '53100'}))
}

const blocker = (pid: number): Blocker => ({
  pid,
  user: null,
  applicationName: null,
  state: null,
  transactionAgeMs: null,
})

const denied = (message: string) => new AybError('PERMISSION_DENIED', message)

test('an error is news once in ten minutes', () => {
  expect(throttle.isNews(denied('no right to a'))).toBe(true)
  now += TEN_MINUTES - 1
  expect(throttle.isNews(denied('no right to a'))).toBe(false)
  now += 1
  expect(throttle.isNews(denied('no right to a'))).toBe(true)
  expect(throttle.isNews(denied('no right to a'))).toBe(false)
})

test('each distinct error has its own ten minutes', () => {
  expect(throttle.isNews(denied('no right to a'))).toBe(true)
  now += TEN_MINUTES / 2
  expect(throttle.isNews(denied('no right to b'))).toBe(true)
  now += TEN_MINUTES / 2
  expect(throttle.isNews(denied('no right to b'))).toBe(false)
  expect(throttle.isNews(denied('no right to a'))).toBe(true)
})

test('after a reset every error is news', () => {
  throttle.isNews(denied('no right to a'))
  throttle.reset()
  expect(throttle.isNews(denied('no right to a'))).toBe(true)
})

test('a full disk is one error, whatever file it names', () => {
  expect(throttle.isNews(diskFull('base/1/2'))).toBe(true)
  expect(throttle.isNews(diskFull('base/1/3'))).toBe(false)
})

test('blocking sessions are one error for as long as they are the same, however long they block', () => {
  const blocked = (pids: number[], message: string) =>
    new AybError('TIMEOUT', message, {details: {blockers: pids.map(blocker)}})
  expect(throttle.isNews(blocked([7], 'blocked for 5 s'))).toBe(true)
  expect(throttle.isNews(blocked([7], 'blocked for 10 s'))).toBe(false)
  expect(throttle.isNews(blocked([8], 'blocked for 15 s'))).toBe(true)
  expect(throttle.isNews(blocked([7, 8], 'blocked for 20 s'))).toBe(true)
})
