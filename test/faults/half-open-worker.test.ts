import {describe, expect, test} from 'vitest'
import {createTestDatabase} from '../support/database.ts'
import {GIVING_UP_MS, stallBackend, startProxy, untilAnswerIsLost} from '../support/half-open.ts'
import {insertJob, jobOf, runsOfJob, untilJob, untilState} from '../support/jobs.ts'
import {createGatedView, untilNothingIsLeft, untilRefreshing} from '../support/refresh.ts'
import {PATIENCE_MS, until} from '../support/until.ts'
import {complaints, startWorker, stopWorkers} from '../support/worker.ts'

describe.concurrent('a worker whose refresh session goes half-open', {timeout: 150_000}, () => {
  test('waits while the backend is busy, and finds the refresh that was committed', async () => {
    const db = await createTestDatabase({hasTables: true})
    const proxy = await startProxy(db)
    const gate = await createGatedView(db, 'slow')
    await gate.close()
    const id = await insertJob(db, {view_name: 'slow'})
    // It looks after its backends three times a lease, and renews the lease each time.
    const worker = await startWorker({url: proxy.through(db.url)}, ['--lease-duration', '6s'])
    const pid = await untilRefreshing(db, 'slow')
    const link = await stallBackend(db, proxy, pid)
    const {passed} = link
    const stalledAt = Number((await jobOf(db, id)).lease_until)
    const other = await startWorker(db, ['--poll-interval', '200ms'])
    const second = await insertJob(db, {view_name: 'slow'})

    await untilJob(db, id, ({lease_until}) => Number(lease_until) - stalledAt > 9000, 'looked after for 9 s')
    expect(await untilRefreshing(db, 'slow')).toBe(pid)
    expect(await jobOf(db, id)).toMatchObject({state: 'running', attempts: 1})
    // The other one tries its own job of the view in vain.
    expect(await runsOfJob(db, second)).toMatchObject([{status: 'skipped'}])
    expect(complaints([worker, other])).toEqual([])

    await gate.open()
    expect(await untilState(db, id, 'completed')).toMatchObject({attempts: 1, last_error: null})
    await worker.waitForLog(({msg, jobId}) => msg === 'refreshed' && jobId === id, 'its answer')
    expect(link.lost.fromServer).toBeGreaterThan(0)
    expect(link.passed).toBe(passed)
    expect(await runsOfJob(db, id)).toMatchObject([
      {status: 'success', worker_id: worker.logs()[0]?.workerId},
    ])
    expect(complaints([worker])).toMatchObject([
      {msg: expect.stringContaining(`backend ${pid} has ended this refresh`)},
    ])
    expect(await db.query('select from pg_stat_activity where pid = $1', [pid])).toEqual([])

    await untilState(db, second, 'completed')
    expect((await runsOfJob(db, second)).map(({status}) => status)).toEqual(['skipped', 'success'])
    await stopWorkers([other])
    await untilState(db, await insertJob(db, {view_name: 'leaderboard'}), 'completed')
    await stopWorkers([worker])
    await untilNothingIsLeft(db, PATIENCE_MS)
  })

  test('tries again where the refresh had failed', async () => {
    const db = await createTestDatabase({hasTables: true})
    const proxy = await startProxy(db)
    const gate = await createGatedView(db, 'slow')
    await gate.close()
    const id = await insertJob(db, {view_name: 'slow'})
    const worker = await startWorker({url: proxy.through(db.url)}, ['--refresh-timeout', '5s'])
    const pid = await untilRefreshing(db, 'slow')
    const link = await stallBackend(db, proxy, pid)
    await untilAnswerIsLost(db, pid, link)
    await gate.open()
    const retried = await untilJob(db, id, ({state}) => state !== 'running', 'settled')
    expect(retried).toMatchObject({
      state: 'queued',
      attempts: 1,
      last_error: expect.stringContaining('lost the connection'),
    })
    expect(await untilState(db, id, 'completed')).toMatchObject({attempts: 2, last_error: null})
    expect(await runsOfJob(db, id)).toMatchObject([
      {status: 'error', error: retried.last_error},
      {status: 'success'},
    ])
    await stopWorkers([worker])
    await untilNothingIsLeft(db, PATIENCE_MS)
  })
})

describe.concurrent('a worker whose sessions all go half-open', {timeout: 240_000}, () => {
  test('says so, comes back with the network, and settles its jobs once', async () => {
    const db = await createTestDatabase({hasTables: true})
    const proxy = await startProxy(db)
    const [early, late] = [await createGatedView(db, 'early'), await createGatedView(db, 'late')]
    await Promise.all([early.close(), late.close()])
    const inTime = await insertJob(db, {view_name: 'early'})
    const overdue = await insertJob(db, {view_name: 'late'})
    const worker = await startWorker({url: proxy.through(db.url)}, ['--poll-interval', '1s'], {
      timeoutMs: 240_000,
    })
    const pids = [await untilRefreshing(db, 'early'), await untilRefreshing(db, 'late')]
    const links = proxy.stallAll()
    expect(links.length).toBeGreaterThanOrEqual(3)
    const passed = links.map((link) => link.passed)

    // What it committed stands, although its answer got lost.
    await early.open()
    await untilState(db, inTime, 'completed')
    const logged = (msg: string, what: string) =>
      until(() => worker.logs().find((line) => line.msg === msg), {what, timeoutMs: GIVING_UP_MS})
    await logged('database lost, reconnecting', 'the worker to notice')
    await until(() => proxy.unanswered() > 0, {what: 'an attempt to reconnect', timeoutMs: PATIENCE_MS})
    expect(links.some(({lost}) => lost.fromServer > 0)).toBe(true)
    expect(links.some(({lost}) => lost.fromProgram > 0)).toBe(true)

    // Others go on, and leave it what it still holds.
    const other = await startWorker(db, ['--poll-interval', '200ms'])
    await untilState(db, await insertJob(db, {view_name: 'leaderboard'}), 'completed')
    await stopWorkers([other])
    expect(await jobOf(db, overdue)).toMatchObject({state: 'running', attempts: 1})

    proxy.heal()
    await logged('database is back', 'the worker to come back')
    await late.open()
    await untilState(db, overdue, 'completed')
    for (const id of [inTime, overdue]) {
      await worker.waitForLog(({msg, jobId}) => msg === 'refreshed' && jobId === id, 'the answer')
      expect(await jobOf(db, id)).toMatchObject({state: 'completed', attempts: 1})
      expect((await runsOfJob(db, id)).map(({status}) => status)).toEqual(['success'])
    }
    expect(links.map((link) => link.passed)).toEqual(passed)
    // The session that was spare when all stalled is not what this one waits for.
    const next = await insertJob(db, {view_name: 'leaderboard'})
    expect(await untilState(db, next, 'completed')).toMatchObject({attempts: 1})
    await stopWorkers([worker])
    expect(complaints([other])).toEqual([])
    const complaintsOf = (...ids: unknown[]) => complaints([worker]).filter(({jobId}) => ids.includes(jobId))
    const [lost, ...reasons] = complaintsOf(undefined, next)
    expect(lost).toMatchObject({msg: 'database lost, reconnecting'})
    // An attempt to reconnect may have ended before the network came back: each reason is told once.
    expect(reasons.length).toBeLessThanOrEqual(1)
    for (const {msg} of reasons) expect(msg).toMatch(/^cannot reconnect: .*: no answer after 10 s$/)
    expect(complaintsOf(inTime, overdue)).toMatchObject(
      pids.map((pid) => ({msg: expect.stringContaining(`backend ${pid} has ended this refresh`)})),
    )
    expect(worker.logs().filter(({msg}) => msg === 'database is back')).toHaveLength(1)
  })
})
