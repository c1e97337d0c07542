import {describe, expect, test} from 'vitest'
import {commandLineHint} from '../../../src/cli/remedies.ts'
import {describeWait} from '../../../src/lib/blockers.ts'
import type {Blocker} from '../../../src/lib/errors.ts'
import {lockTimeout} from '../../../src/lib/failures/refreshes.ts'

const VIEW = {schemaName: 'public', viewName: 'leaderboard'}

const blocker = (pid: number, applicationName: string | null = null): Blocker => ({
  pid,
  user: null,
  applicationName,
  state: null,
  transactionAgeMs: null,
})

const FIVE = [1, 2, 3, 4, 5].map((pid) => blocker(pid))
const timeout = (blockers: Blocker[], {isOfView = true} = {}) =>
  lockTimeout(VIEW, {
    timeoutMs: 2000,
    tries: 1,
    elapsedMs: 2000,
    wait: {relation: isOfView ? 'public.leaderboard' : 'public.base', isOfView, blockers},
  })

describe('the error of a lock that could not be had', () => {
  test('names three sessions at the most, and has all in its details', () => {
    const error = timeout(FIVE)
    expect(error.message).toMatch(
      / for a lock on public\.leaderboard, held by pid 1 and pid 2 and pid 3 and 2 more$/,
    )
    expect(error.details?.blockers).toEqual(FIVE)
  })

  test.each([
    ['of the view', timeout([blocker(1)]), /--lock-retry-for, or refresh in concurrent mode/],
    [
      'of another relation',
      timeout([blocker(1)], {isOfView: false}),
      /^refresh again when the lock is free; --lock-timeout 5m/,
    ],
    [
      'of a prepared transaction',
      timeout([blocker(0, 'prepared transaction x')]),
      /COMMIT PREPARED or ROLLBACK PREPARED$/,
    ],
  ])('says what to do about a lock %s', (_, error, words) => {
    expect(commandLineHint(error)).toMatch(words)
  })
})

test.each([
  [[blocker(4711, 'psql')], 12_000, 'waiting for pid 4711 (psql) for 12 s'],
  [FIVE, 400, 'waiting for pid 1, pid 2, pid 3, 2 more for 0 s'],
  [[], 90_000, 'waiting for a lock for 1 m 30 s'],
])('a wait is told with whom it is for', (blockers, waitedMs, text) => {
  expect(describeWait(blockers, waitedMs)).toBe(text)
})
