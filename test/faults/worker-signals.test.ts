import {describe, expect, test} from 'vitest'
import {createTestDatabase} from '../support/database.ts'
import {insertJob, jobOf, runsOfJob, untilState} from '../support/jobs.ts'
import {untilWaiting} from '../support/lock-waits.ts'
import {createGatedView, leftBehind, runsOf, untilNothingIsLeft, untilRefreshing} from '../support/refresh.ts'
import {PATIENCE_MS, until} from '../support/until.ts'
import {startWorker, takeAway} from '../support/worker.ts'

/** A worker in mid-refresh of a view that waits for its gate. */
async function startInMidRefresh(args: string[] = []) {
  const db = await createTestDatabase({hasTables: true})
  const gate = await createGatedView(db, 'slow')
  await gate.close()
  const id = await insertJob(db, {view_name: 'slow'})
  const worker = await startWorker(db, args)
  await untilRefreshing(db, 'slow')
  return {db, gate, id, worker}
}

describe.concurrent('a worker that is told to stop', {timeout: 90_000}, () => {
  test.each(['SIGTERM', 'SIGINT', 'SIGHUP'] as const)('by %s lets its refresh finish', async (signal) => {
    const {db, gate, id, worker} = await startInMidRefresh()
    const later = await insertJob(db, {view_name: 'leaderboard'})
    // It can only be claimed by a free slot: all that this worker has are three more.
    await untilState(db, later, 'completed')
    // The row says so a moment before the worker has its slot back.
    await worker.waitForLog(({msg, jobId}) => msg === 'refreshed' && jobId === later, 'the slot to be free')
    worker.kill(signal)
    // The other slot may still hand its session back.
    await worker.waitForLog(
      ({msg}) => RegExp(`^${signal}: stopping, [12] still running$`).test(msg),
      'stopping',
    )
    const unclaimed = await insertJob(db, {view_name: 'leaderboard'})
    await db.query('notify ayb_cli_wake')
    await gate.open()
    expect(await worker.done).toMatchObject({code: 0, signal: null, stderr: ''})
    expect(worker.logs().at(-1)).toMatchObject({level: 'info', msg: 'worker stopped'})
    expect(await jobOf(db, id)).toMatchObject({state: 'completed', attempts: 1})
    expect(await jobOf(db, unclaimed)).toMatchObject({state: 'queued', attempts: 0})
    expect(await runsOfJob(db, id)).toMatchObject([{status: 'success'}])
    await untilNothingIsLeft(db, PATIENCE_MS)
  })

  test('gives back the job that it claimed with the end of the one before', async () => {
    const db = await createTestDatabase({hasTables: true})
    const gate = await createGatedView(db, 'slow')
    await gate.close()
    const slow = await insertJob(db, {view_name: 'slow'}, {run_at: '2000-01-01'})
    const next = await insertJob(db, {view_name: 'leaderboard'}, {run_at: '2000-01-02'})
    const worker = await startWorker(db, ['--concurrency', '1'])
    await untilRefreshing(db, 'slow')
    worker.kill()
    await worker.waitForLog(({msg}) => msg === 'SIGTERM: stopping, 1 still running', 'stopping')
    await gate.open()
    expect(await worker.done).toMatchObject({code: 0, signal: null, stderr: ''})
    expect(await jobOf(db, slow)).toMatchObject({state: 'completed'})
    const [claimed] = await db.query('select from _ayb_jobs where id = $1 and last_run_at is not null', [
      next,
    ])
    expect(claimed).toBeDefined()
    expect(await jobOf(db, next)).toMatchObject({
      state: 'queued',
      attempts: 0,
      worker_id: null,
      run_at: new Date('2000-01-02T00:00:00Z'),
    })
    expect(await runsOfJob(db, next)).toEqual([])
  })

  test('cancels what takes longer than its patience, and puts it back', async () => {
    const {db, gate, id, worker} = await startInMidRefresh(['--shutdown-timeout', '200ms'])
    worker.kill()
    expect(await worker.done).toMatchObject({code: 0, signal: null})
    expect(await leftBehind(db)).toEqual([])
    expect(await jobOf(db, id)).toMatchObject({state: 'queued', attempts: 0, worker_id: null})
    expect(await runsOfJob(db, id)).toMatchObject([
      {status: 'canceled', error: 'canceled: the worker was stopped'},
    ])
    expect(worker.logs().find(({jobId, level}) => jobId === id && level === 'warn')).toMatchObject({
      msg: 'canceled and put back:',
      attempt: 1,
    })
    await gate.open()
    const next = await startWorker(db)
    expect(await untilState(db, id, 'completed')).toMatchObject({attempts: 1, last_error: null})
    next.kill()
  })

  test.each([
    ['SIGTERM', 143],
    ['SIGINT', 130],
    ['SIGHUP', 129],
  ] as const)('a second time, by %s, ends at once', async (signal, code) => {
    const {db, gate, id, worker} = await startInMidRefresh()
    worker.kill()
    await worker.waitForLog(({msg}) => msg.includes('stopping'), 'stopping')
    worker.kill(signal)
    expect(await worker.done).toMatchObject({code, signal: null})
    expect((await jobOf(db, id)).state).toBe('running')
    // Nobody waits for the answer any more, which the server sees within a second.
    await untilNothingIsLeft(db, PATIENCE_MS)
    await gate.open()
    const next = await startWorker(db)
    expect(await untilState(db, id, 'completed')).toMatchObject({attempts: 2})
    expect((await runsOfJob(db, id)).map(({status}) => status)).toEqual(['error', 'success'])
    next.kill()
  })

  test('while it waits for a database that is away, ends', async () => {
    const db = await createTestDatabase({hasTables: true})
    const worker = await startWorker(db)
    await takeAway(db)
    await worker.waitForLog(({level}) => level === 'error', 'that the database is lost')
    worker.kill()
    expect(await worker.done).toMatchObject({code: 0, signal: null})
  })

  test('while its statement waits for a lock, ends without a word about the database', async () => {
    const db = await createTestDatabase({hasTables: true})
    const worker = await startWorker(db)
    const other = await db.connect()
    await other.query('begin; lock table _ayb_jobs')
    await db.query('notify ayb_cli_wake')
    await untilWaiting(db, {program: 'ayb worker'})
    worker.kill()
    expect(await worker.done).toMatchObject({code: 0, signal: null, stderr: ''})
    expect(worker.logs().filter(({level}) => level === 'warn' || level === 'error')).toEqual([])
    await other.query('rollback')
  })

  test('ends with the one who reads its log', async () => {
    const db = await createTestDatabase({hasTables: true})
    const {spawn} = await import('node:child_process')
    const {emptyHome, killAtEnd, minimalEnvironment, programPath} = await import('../support/children.ts')
    const pipeline = `"${process.execPath}" "${programPath()}" worker | head -1`
    const child = spawn('sh', ['-c', `${pipeline}; echo ended`], {
      env: minimalEnvironment(emptyHome(), db.url),
    })
    killAtEnd(() => child.kill('SIGKILL'))
    let output = ''
    let errors = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      errors += text
    })
    await until(() => output.includes('worker started'), {what: 'its first line', timeoutMs: PATIENCE_MS})
    // It notices when it next has something to say.
    await insertJob(db, {view_name: 'leaderboard'})
    await db.query('notify ayb_cli_wake')
    await until(() => output.includes('ended'), {what: 'the end of the pipeline', timeoutMs: PATIENCE_MS})
    expect(errors).toBe('')
    expect(output.trimEnd().split('\n')).toHaveLength(2)
    expect(await runsOf(db, 'leaderboard')).toMatchObject([{status: 'success'}])
    await untilNothingIsLeft(db, PATIENCE_MS)
  })
})
