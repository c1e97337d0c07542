import {beforeAll, describe, expect, test} from 'vitest'
import type {NextRuns, ScheduleDocument} from '../../src/lib/records/schedules.ts'
import {ayb} from '../support/ayb.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {documentOf, failureOf, shellCommand} from '../support/documents.ts'
import {insertAgedJob, jobRows} from '../support/jobs.ts'
import {
  changeSchedule,
  createMarked,
  createSchedule,
  insertSchedule,
  isMarked,
  serverMidnight,
} from '../support/schedules.ts'

let db: TestDatabase

beforeAll(async () => {
  db = await createTestDatabase()
})

const command = (name: string, schedule: string, ...args: string[]) =>
  changeSchedule(db, name, schedule, ...args)

describe('the clock', () => {
  /** 400 days ahead, for the program alone. */
  const aheadOfTime = `const Real = Date, ahead = 400 * 864e5
    globalThis.Date = class extends Real {
      constructor(...given) { given.length > 0 ? super(...given) : super(Real.now() + ahead) }
      static now() { return Real.now() + ahead }
    }`
  const env = {NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(aheadOfTime)}`}

  test('is that of the database, not of this machine', async () => {
    const wrong = {url: db.url, env}
    const {runs} = await documentOf<NextRuns>(['schedules', 'next', '0 0 * * *', '--count', '1'], wrong)
    expect(Date.parse(runs[0] ?? '') - Date.parse(await serverMidnight(db))).toBe(400 * 864e5)

    const args = ['--cron', '0 0 * * *', '--view', 'leaderboard']
    const created = await documentOf<ScheduleDocument>(
      ['schedules', 'create', '--name', 'clock', ...args],
      wrong,
    )
    expect(created.schedule.nextRunAt).toBe(await serverMidnight(db))
    const {id} = created.schedule
    await documentOf(['schedules', 'disable', id], wrong)
    const enabled = await documentOf<ScheduleDocument>(['schedules', 'enable', id], wrong)
    expect(enabled.schedule.nextRunAt).toBe(await serverMidnight(db))
    const updated = await documentOf<ScheduleDocument>(['schedules', 'update', id, '--cron', '@daily'], wrong)
    expect(updated.schedule.nextRunAt).toBe(await serverMidnight(db))
  })
})

describe('ayb schedules disable and enable', () => {
  test('clear the next run and compute it anew', async () => {
    const {id} = await createSchedule(db, 'switched', {cron: '0 0 * * *'})
    expect(await command('disable', 'switched')).toMatchObject({id, enabled: false, nextRunAt: null})
    expect(await command('disable', id)).toMatchObject({enabled: false, nextRunAt: null})
    expect(await command('enable', id.toUpperCase())).toMatchObject({
      enabled: true,
      nextRunAt: await serverMidnight(db),
    })
  })

  test('enable leaves the next run of an enabled schedule, and computes one that is missing', async () => {
    const id = await createMarked(db, 'enabled')
    await command('enable', id)
    expect(await isMarked(db, id)).toBe(true)
    await db.query('update _ayb_job_schedules set next_run_at = null where id = $1', [id])
    expect(await command('enable', id)).toMatchObject({nextRunAt: expect.stringMatching(/T03:00/)})
  })

  test.each([
    ['disable', []],
    ['update', ['--no-enabled']],
  ] as const)('%s cancels what is queued, and only that', async (name, args) => {
    const {id} = await createSchedule(db, `queue of ${name}`)
    const other = await createSchedule(db, `other queue of ${name}`)
    const queued = await insertAgedJob(db, {scheduleId: id})
    const running = await insertAgedJob(db, {scheduleId: id, state: 'running', attempts: 1})
    const foreign = await insertAgedJob(db, {scheduleId: id, type: 'send_mail'})
    const others = await insertAgedJob(db, {scheduleId: other.id})
    await command(name, id, ...args)
    const states = Object.fromEntries((await jobRows(db)).map((job) => [job.id, job.state]))
    expect(states).toMatchObject({
      [queued]: 'canceled',
      [running]: 'running',
      [foreign]: 'queued',
      [others]: 'queued',
    })
    // Queued by hand since, while it was disabled.
    const late = await insertAgedJob(db, {scheduleId: id})
    await command(name, id, ...args)
    const rows = await db.query('select state, canceled_at from _ayb_jobs where id = $1', [late])
    expect(rows).toEqual([{state: 'canceled', canceled_at: expect.any(Date)}])
  })

  test('say so on one line of text', async () => {
    await createSchedule(db, 'spoken')
    const off = await ayb(['schedules', 'disable', 'spoken'], db)
    expect(off.stdout).toMatch(/^Disabled spoken \(id [0-9a-f-]{36}\)\n$/)
    const on = await ayb(['schedules', 'enable', 'spoken'], db)
    expect(on.stdout).toMatch(/^Enabled spoken \(id [0-9a-f-]{36}\), next run in .+\n$/)
  })
})

describe('ayb schedules delete', () => {
  test('answers with the schedule as it was, cancels its queue and keeps its other jobs', async () => {
    const before = await createSchedule(db, 'doomed')
    const queued = await insertAgedJob(db, {scheduleId: before.id})
    const running = await insertAgedJob(db, {scheduleId: before.id, state: 'running', attempts: 1})
    const completed = await insertAgedJob(db, {scheduleId: before.id, state: 'completed'})
    expect(await command('delete', 'doomed')).toEqual(before)
    const kept = (await jobRows(db)).filter(({id}) => [queued, running, completed].includes(id))
    expect(Object.fromEntries(kept.map((job) => [job.id, job]))).toEqual({
      [queued]: {id: queued, state: 'canceled', schedule_id: null},
      [running]: {id: running, state: 'running', schedule_id: null},
      [completed]: {id: completed, state: 'completed', schedule_id: null},
    })
    await failureOf(['schedules', 'delete', before.id], 'SCHEDULE_NOT_FOUND', db)
    await createSchedule(db, 'doomed')
  })

  const asStored = async (name: string) => {
    const columns = 'name, payload::text, cron_expr, timezone, enabled, max_attempts'
    return db.query(`select ${columns} from _ayb_job_schedules where name = $1`, [name])
  }

  test('says so, with the command that undoes it', async () => {
    const name = `-it's  "a" $(name)`
    const payload = `{"note": "it's \u202e \\"x\\"", "view_name": "\\"weekly stats\\"", "__proto__": [1.5]}`
    const args = [`--name=${name}`, '--cron', '*/5 1-3 * * 1,2', '--timezone', 'Europe/Berlin']
    const more = ['--payload', payload, '--no-enabled', '--max-attempts', '7']
    const created = await ayb(['schedules', 'create', ...args, ...more, '--json'], db)
    const {id} = (created.json() as ScheduleDocument).schedule
    const stored = await asStored(name)
    const deleted = await ayb(['schedules', 'delete', id], db)
    expect(deleted).toMatchObject({code: 0, stdout: `Deleted ${name} (id ${id})\n`})
    expect(await asStored(name)).toEqual([])
    const [, command = ''] = /^To undo that: (.+)\n$/.exec(deleted.stderr) ?? []
    expect(await ayb(shellCommand(command), db)).toMatchObject({code: 0})
    expect(await asStored(name)).toEqual(stored)
  })

  test('says where no command undoes it', async () => {
    await insertSchedule(db, 'foreign', {view: 'leaderboard', cron: 'every day'})
    expect(await ayb(['schedules', 'delete', 'foreign'], db)).toMatchObject({
      code: 0,
      stderr: 'No command of ayb undoes that, since another program wrote values that ayb does not accept\n',
    })
  })

  test('with --dry-run says what would go, and changes nothing', async () => {
    const schedule = await createSchedule(db, 'spared')
    const queued = await insertAgedJob(db, {scheduleId: schedule.id})
    await insertAgedJob(db, {scheduleId: schedule.id, state: 'failed'})
    await insertAgedJob(db, {scheduleId: schedule.id, type: 'send_mail'})
    const command = `ayb schedules create --name spared --cron '0 3 * * *' --timezone UTC --view public.leaderboard --max-attempts 3`
    expect(await ayb(['schedules', 'delete', 'spared', '--dry-run'], db)).toMatchObject({
      code: 0,
      stdout: `Would delete spared (id ${schedule.id}), and cancel 1 queued job\n`,
      stderr: `To undo that afterwards: ${command}\n`,
    })
    expect(await documentOf(['schedules', 'delete', schedule.id, '--dry-run'], db)).toEqual({
      schedule,
      warnings: [],
    })
    expect((await jobRows(db)).find(({id}) => id === queued)).toMatchObject({state: 'queued'})
    await failureOf(['schedules', 'delete', 'spare', '--dry-run'], 'SCHEDULE_NOT_FOUND', db)
  })
})
