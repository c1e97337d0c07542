import {beforeEach, describe, expect, test} from 'vitest'
import {
  type LeftByJob,
  type OnceFacts,
  Rhythm,
  type TurnEnd,
  type TurnFacts,
} from '../../../../src/core/worker/rhythm.ts'

const POLL_MS = 60_000

let now: number
let rhythm: Rhythm

beforeEach(() => {
  now = 1000
  rhythm = new Rhythm({pollIntervalMs: POLL_MS, now: () => now})
})

type Facts = Partial<Omit<TurnFacts, 'seen'> & TurnFacts['seen']>

/** A turn that found nothing to do, except these facts. */
function turn({hasClaimable, nextScheduleInMs, nextJobInMs, ownFreshInMs, ...others}: Facts): TurnFacts {
  return {
    seen: {
      hasClaimable: hasClaimable ?? false,
      nextScheduleInMs: nextScheduleInMs ?? null,
      nextJobInMs: nextJobInMs ?? null,
      ownFreshInMs: ownFreshInMs ?? null,
    },
    isDue: false,
    isContended: false,
    claimed: 0,
    hasEndedWorkers: false,
    wasBusy: false,
    freeSlots: 1,
    isIdle: true,
    once: null,
    ...others,
  }
}

const NOTHING_PUT_BACK: OnceFacts = {nextTryInMs: null, isShortOfSessions: false, ended: 0}
const idle = (pauseMs: number): TurnEnd => ({as: 'idle', pauseMs})
const contended = (pauseMs: number): TurnEnd => ({as: 'contended', pauseMs})
const AGAIN: TurnEnd = {as: 'again', pauseMs: 0}
const DONE: TurnEnd = {as: 'done'}

describe('a turn with a poll ends', () => {
  test.each<[string, Facts, TurnEnd]>([
    ['idle until the next poll, when nothing is known to come', {}, idle(POLL_MS)],
    ['idle until the next poll, when everything comes later', {nextScheduleInMs: 2 * POLL_MS}, idle(POLL_MS)],
    ['idle until the next schedule', {nextScheduleInMs: 120.5, nextJobInMs: 400}, idle(121)],
    ['idle until the next job', {nextScheduleInMs: 120, nextJobInMs: 80}, idle(80)],
    ['idle past the next job, without a free slot', {nextJobInMs: 80, freeSlots: 0}, idle(POLL_MS)],
    ['idle until a fresh claim of its own is old', {ownFreshInMs: 3000}, idle(3000)],
    [
      'idle after it started a job',
      {claimed: 1, hasClaimable: true, isIdle: false, freeSlots: 0},
      idle(POLL_MS),
    ],
    ['idle after it started all due jobs', {claimed: 1, hasClaimable: true, freeSlots: 1}, idle(POLL_MS)],
    ['idle until what comes next, when schedules were due', {isDue: true, nextScheduleInMs: 70}, idle(70)],
    ['idle for no time, when the next schedule is due', {isDue: true, nextScheduleInMs: 0}, idle(0)],
    ['again, when a frozen worker was ended', {hasEndedWorkers: true}, AGAIN],
    ['contended, when another worker holds due schedules', {isDue: true, isContended: true}, contended(50)],
    ['contended, when another worker holds due jobs', {hasClaimable: true}, contended(50)],
    [
      'contended, when a due job and an ended worker meet',
      {hasClaimable: true, hasEndedWorkers: true},
      contended(50),
    ],
    ['idle, when due jobs find no free slot', {hasClaimable: true, freeSlots: 0}, idle(POLL_MS)],
    [
      'contended until the next schedule at the latest',
      {hasClaimable: true, nextScheduleInMs: 20},
      contended(20),
    ],
    ['contended until the next job at the latest', {isContended: true, nextJobInMs: 30}, contended(30)],
  ])('%s', (_, facts, end) => {
    expect(rhythm.afterPoll(turn(facts))).toEqual(end)
  })
})

describe('a turn of a worker that runs once ends', () => {
  const once = NOTHING_PUT_BACK
  test.each<[string, Facts, TurnEnd]>([
    ['done, when nothing is due and nothing is in hand', {once}, DONE],
    ['done, whatever comes later', {once, nextScheduleInMs: 10, nextJobInMs: 10}, DONE],
    ['idle while a job is in hand', {once, isIdle: false, freeSlots: 0}, idle(POLL_MS)],
    ['idle after a claim', {once, claimed: 1}, idle(POLL_MS)],
    ['again, when a job has ended since the poll', {once, wasBusy: true}, AGAIN],
    ['again, when schedules were due', {once, isDue: true}, AGAIN],
    ['contended, when another worker holds due jobs', {once, hasClaimable: true}, contended(50)],
    ['idle until a claim of its own that was lost can be rescued', {once, ownFreshInMs: 3000}, idle(3000)],
    ['idle until a job that let readers pass is due', {once: {...once, nextTryInMs: 700}}, idle(700)],
    [
      'idle for a second, when a session may become free',
      {once: {...once, isShortOfSessions: true, ended: 1}},
      idle(1000),
    ],
    ['done, when no job lacks a session', {once: {...once, ended: 3}}, DONE],
    ['done, when no session can become free', {once: {...once, isShortOfSessions: true}}, DONE],
  ])('%s', (_, facts, end) => {
    expect(rhythm.afterPoll(turn(facts))).toEqual(end)
  })

  test('done, when no job has ended since it last waited for a session', () => {
    const short = (ended: number) => rhythm.afterPoll(turn({once: {...once, isShortOfSessions: true, ended}}))
    expect(short(2)).toEqual(idle(1000))
    expect(short(2)).toEqual(DONE)
    expect(short(3)).toEqual(idle(1000))
  })
})

describe('a pause for work that another worker holds', () => {
  const meet = () => rhythm.afterPoll(turn({hasClaimable: true}))

  test('doubles up to a second, and is short again after a turn without contention', () => {
    const pauses = Array.from({length: 7}, meet)
    expect(pauses).toEqual([50, 100, 200, 400, 800, 1000, 1000].map(contended))
    rhythm.afterPoll(turn({}))
    expect(meet()).toEqual(contended(50))
  })
})

describe('a worker with a backlog', () => {
  /** A poll after which a claim filled all of two slots. */
  function fillAll(): void {
    rhythm.polling()
    rhythm.claimed({slots: 2, jobs: 2})
    rhythm.afterPoll(turn({claimed: 2, isIdle: false, freeSlots: 0}))
  }

  test('claims without a poll', () => {
    expect(rhythm.next).toBe('poll')
    fillAll()
    expect(rhythm.hasBacklog).toBe(true)
    expect(rhythm.next).toBe('claim')
    rhythm.claimed({slots: 1, jobs: 1})
    expect(rhythm.next).toBe('claim')
  })

  test('sleeps until a poll is due, which is after 5 s at the latest', () => {
    fillAll()
    expect(rhythm.afterClaim()).toEqual({as: 'backlog', pauseMs: 5000})
    now += 4999
    expect(rhythm.next).toBe('claim')
    expect(rhythm.afterClaim()).toEqual({as: 'backlog', pauseMs: 1})
    now += 1
    expect(rhythm.next).toBe('poll')
    expect(rhythm.afterClaim()).toEqual({as: 'backlog', pauseMs: 0})
  })

  test('polls before that when a schedule is due, or when something woke it', () => {
    rhythm.polling()
    rhythm.claimed({slots: 2, jobs: 2})
    rhythm.afterPoll(turn({claimed: 2, nextScheduleInMs: 300}))
    now += 299
    expect(rhythm.next).toBe('claim')
    now += 1
    expect(rhythm.next).toBe('poll')
    fillAll()
    rhythm.wake()
    expect(rhythm.next).toBe('poll')
  })

  test('has none any more when a claim leaves a slot free: the turn goes on with a poll', () => {
    fillAll()
    rhythm.claimed({slots: 2, jobs: 1})
    expect(rhythm.afterClaim()).toBeNull()
    expect(rhythm.hasBacklog).toBe(false)
  })

  test('claims for a slot that becomes free, whatever its job has left', () => {
    fillAll()
    rhythm.freed({mayBeMore: true, dueInMs: null})
    expect(rhythm.next).toBe('claim')
  })

  test('polls for what a job has left while the claim was sent that ended the backlog', () => {
    fillAll()
    rhythm.polling()
    rhythm.freed({mayBeMore: true, dueInMs: null})
    rhythm.claimed({slots: 1, jobs: 0})
    rhythm.afterPoll(turn({}))
    expect(rhythm.next).toBe('poll')
  })

  test('lets no slot claim while due schedules are made into jobs', () => {
    fillAll()
    rhythm.queueing()
    expect(rhythm.hasBacklog).toBe(false)
  })
})

describe('a worker that sleeps', () => {
  const NOTHING: LeftByJob = {mayBeMore: false, dueInMs: null}

  beforeEach(() => {
    rhythm.polling()
    rhythm.afterPoll(turn({nextScheduleInMs: 3000}))
    now += 1000
  })

  test('sleeps on when a job ends that leaves nothing', () => {
    rhythm.freed(NOTHING)
    expect(rhythm.next).toBe('sleep')
    expect(rhythm.sleepOn()).toEqual(idle(2000))
    now += 2000
    expect(rhythm.next).toBe('poll')
  })

  test('polls when a job ends that may leave something', () => {
    rhythm.freed({mayBeMore: true, dueInMs: null})
    expect(rhythm.next).toBe('poll')
  })

  test.each(['while it sleeps', 'in its turn'])('polls when a job is due that was put back %s', (when) => {
    rhythm.polling()
    if (when === 'in its turn') rhythm.freed({mayBeMore: false, dueInMs: 1500})
    const end = rhythm.afterPoll(turn({}))
    if (when === 'while it sleeps') rhythm.freed({mayBeMore: false, dueInMs: 1500})
    else expect(end).toEqual(idle(1500))
    rhythm.freed({mayBeMore: false, dueInMs: 11_000})
    expect(rhythm.next).toBe('sleep')
    expect(rhythm.sleepOn()).toEqual(idle(1500))
    now += 1500
    expect(rhythm.next).toBe('poll')
    rhythm.polling()
    expect(rhythm.afterPoll(turn({}))).toEqual(idle(POLL_MS))
  })

  test('polls when something wakes it in a turn, behind the poll', () => {
    rhythm.polling()
    rhythm.wake()
    rhythm.afterPoll(turn({}))
    expect(rhythm.next).toBe('poll')
    rhythm.polling()
    rhythm.afterPoll(turn({}))
    expect(rhythm.next).toBe('sleep')
  })

  test('polls after an error', () => {
    rhythm.polling()
    rhythm.afterFailure({isLost: false})
    expect(rhythm.next).toBe('poll')
  })
})

test('an error lets the worker connect again at once, or try again after 5 s', () => {
  expect(rhythm.afterFailure({isLost: true})).toEqual(AGAIN)
  expect(rhythm.afterFailure({isLost: false})).toEqual({as: 'failed', pauseMs: 5000})
})
