import {describe, expect, test} from 'vitest'
import {compareProfiles, describeCut, type Progress, type Rate, speedsOf} from '../../bench/rates.ts'
import {runRounds, undisturbed} from '../../bench/rounds.ts'

const DISTURBED = {perSecond: 1, done: 40, each: {serverMs: 900, clientMs: 90}}
const QUIET = {perSecond: 200, done: 2000, each: {serverMs: 6, clientMs: 1}}

/** A host that takes these shares of the processors, one an attempt, and nothing afterwards. */
function hostTaking(...shares: number[]) {
  const seen: number[] = []
  const watch = () => () => {
    const share = shares[seen.length] ?? 0
    seen.push(share)
    return share
  }
  return {watch, seen}
}

describe('the rounds of the benchmark', () => {
  test('an attempt that the host disturbed leaves no trace: no speed, no processor time, nothing unfinished', async () => {
    const host = hostTaking(0.5)
    const attempts: (Rate & Progress)[] = []
    const measure = async () => {
      const attempt = attempts.length === 0 ? DISTURBED : QUIET
      attempts.push(attempt)
      return attempt
    }
    const resultsOf = await runRounds([{name: 'peer', measure}], 2, () => {}, host.watch)
    expect(attempts).toEqual([DISTURBED, QUIET, QUIET])
    expect(host.seen).toEqual([0.5, 0, 0])

    const results = resultsOf('peer')
    expect(speedsOf(results)).toEqual([200, 200])
    expect(describeCut(results, 2000, 20_000)).toBe('')
    expect(compareProfiles(results, {name: 'peer', rates: results})).toBe(
      'processor time of a refresh, from when they are due: 6.00 ms in the server and 1.00 ms in the client; with peer: 6.00 ms in the server and 1.00 ms in the client',
    )
  })

  test('where the host disturbs every attempt, the third counts, and there is no fourth', async () => {
    const host = hostTaking(0.5, 0.4, 0.3, 0.2)
    let attempts = 0
    expect(await undisturbed(async () => ++attempts, host.watch)).toBe(3)
    expect(host.seen).toEqual([0.5, 0.4, 0.3])
  })

  test('a share that hardly any measurement is without repeats nothing', async () => {
    const host = hostTaking(0.03)
    let attempts = 0
    expect(await undisturbed(async () => ++attempts, host.watch)).toBe(1)
  })
})

describe('rates of the benchmark', () => {
  test('of several rounds that a deadline stopped, the one that came least far is told', () => {
    const progress = [2000, 1362, 1700].map((done) => ({perSecond: 1, done}))
    expect(describeCut(progress, 2000, 20_000)).toBe('; stopped after 20 s, with 1362 of 2000 done')
  })

  test('without the processor time of one side, nothing is compared', () => {
    const unknown = [{perSecond: 1, each: null}]
    expect(compareProfiles([QUIET], {name: 'peer', rates: unknown})).toBe('')
    expect(compareProfiles(unknown, {name: 'peer', rates: [QUIET]})).toBe('')
  })
})
