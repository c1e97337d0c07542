import {spawnSync} from 'node:child_process'
import {closeSync, mkdtempSync, openSync, rmdirSync, rmSync, statfsSync, writeSync} from 'node:fs'
import {join} from 'node:path'
import pg from 'pg'
import {afterAll, beforeAll, describe, expect, test} from 'vitest'
import {ayb} from '../support/ayb.ts'
import {killAtEnd} from '../support/children.ts'
import type {TestDatabase} from '../support/database.ts'
import {insertJob, jobOf, runsOfJob, untilState} from '../support/jobs.ts'
import {type PostgresServer, startPostgres} from '../support/postgres.ts'
import {unprivilegedAccount} from '../support/postgres-binaries.ts'
import {temporaryBase} from '../support/postgres-folder.ts'
import {
  errorOf,
  leftBehind,
  register,
  registrationOf,
  runsOf,
  untilNothingIsLeft,
} from '../support/refresh.ts'
import {insertSchedule} from '../support/schedules.ts'
import {PATIENCE_MS, until} from '../support/until.ts'
import {complaints, type LogLine, say, startWorker, stopWorkers} from '../support/worker.ts'

const NO_SPACE = /No space left on device/

let server: PostgresServer
let db: TestDatabase

/**
 * A disk of its own, of two megabytes, that the server may write to; gone at the end of the file. Where it
 * cannot be mounted, `refusal` says why.
 */
function mountDisk(): {disk: string; refusal: string | null} {
  const account = unprivilegedAccount()
  const folder = mkdtempSync(join(temporaryBase(account), 'ayb-disk-'))
  const owner = account ? `,uid=${account.uid},gid=${account.gid}` : ''
  killAtEnd(() => {
    spawnSync('umount', ['-l', folder])
    rmdirSync(folder)
  })
  const mount = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=2m,mode=0700${owner}`, 'tmpfs', folder], {
    encoding: 'utf8',
  })
  const refusal = mount.status === 0 ? null : (mount.error?.message ?? mount.stderr.trim())
  return {disk: folder, refusal}
}

/** Leaves no room on the disk, nor in the pages of the history; returns what makes room again. */
async function fillDisk(): Promise<() => void> {
  const ballast = join(disk, 'ballast')
  const file = openSync(ballast, 'w')
  const block = Buffer.alloc(4096)
  const fill = () => {
    for (;;) writeSync(file, block)
  }
  expect(fill).toThrow(/ENOSPC/)
  closeSync(file)
  // A session of its own: one that has written before would not look at the last page. Few and wide rows
  // first, so that the table is full before an index is; each in a block of its own, since what is rolled
  // back makes room again.
  const client = new pg.Client({connectionString: server.url()})
  await client.connect()
  await client.query(`
    do $$ declare width int; begin
      foreach width in array array[600, 0] loop
        loop
          begin
            insert into _ayb_matview_refresh_runs (schema_name, view_name, refresh_mode, trigger, status, error)
            values ('f', 'f', 'standard', 'manual', 'error', nullif(repeat('f', width), ''));
          exception when disk_full then exit;
          end;
        end loop;
      end loop;
    end $$`)
  await client.end()
  expect(statfsSync(disk).bfree).toBe(0)
  return () => rmSync(ballast)
}

/** Moves the schedule, and has the worker look around; returns when, by the server's clock. */
async function setDue(scheduleId: string, nextRunAt: string): Promise<string> {
  await db.query(`update _ayb_job_schedules set next_run_at = ${nextRunAt} where id = $1`, [scheduleId])
  const [row] = await db.query<{now: string}>('select clock_timestamp()::text as now')
  await db.query('notify ayb_cli_wake')
  return row?.now ?? ''
}

/** The backend that found no room for the file of that complaint, by the server's log. */
function backendOf({msg}: LogLine): number {
  const file = /"[^"]+"/.exec(msg)?.[0] ?? msg
  const line = server
    .log()
    .split('\n')
    .findLast((text) => text.includes(`ERROR:  could not extend file ${file}`))
  return Number(/\[(\d+)\]/.exec(line ?? '')?.[1])
}

/** How many statements of that backend found no room. */
const failuresOf = (pid: number): number =>
  server
    .log()
    .split('\n')
    .filter((line) => line.includes(`[${pid}] ERROR:`) && NO_SPACE.test(line)).length

/** Waits until that backend has answered a statement that began after then. */
const untilTurned = (pid: number, since: string) =>
  until(
    async () =>
      (
        await db.query(
          `select from pg_stat_activity where pid = $1 and state = 'idle' and query_start > $2::timestamptz`,
          [pid, since],
        )
      ).length > 0,
    {what: 'a turn to end', timeoutMs: PATIENCE_MS},
  )

const stampOf = async () => (await db.query<{stamp: Date}>('select stamp from stamped'))[0]?.stamp

// A disk of a size that a test can fill takes a mount, and that takes Linux and root.
const {disk, refusal} = mountDisk()
const isSkipped = refusal !== null && !process.env.CI
if (isSkipped) say(`disk-full is skipped, since no disk can be mounted here: ${refusal}`)

describe.skipIf(isSkipped)('a disk without room for the tables of ayb', {timeout: 120_000}, () => {
  beforeAll(async () => {
    if (refusal !== null) throw new Error(`no disk can be mounted, and in CI nothing is skipped: ${refusal}`)
    server = await startPostgres({settings: {autovacuum: 'off'}})
    const pool = new pg.Pool({connectionString: server.url(), max: 2})
    pool.on('error', () => {})
    db = {
      url: server.url(),
      query: async (sql: string, params: unknown[] = []) => (await pool.query(sql, params)).rows,
      drop: () => pool.end(),
    } as TestDatabase
    await db.query('create materialized view stamped as select clock_timestamp() as stamp')
    await db.query(`create tablespace small location '${disk}'`)
    await db.query('alter database postgres set default_tablespace = small')
    expect((await ayb(['migrate'], {url: db.url})).code).toBe(0)
    await register(db, 'stamped')
    // One of each, so that each index has the pages that it needs.
    const worker = await startWorker(db)
    await untilState(db, await insertJob(db, {view_name: 'stamped'}), 'completed')
    await stopWorkers([worker])
  })

  afterAll(async () => {
    await db?.drop()
    await server?.stop()
  })

  test('fails a refresh by hand, which says so and leaves nothing half done', async () => {
    const free = await fillDisk()
    const before = [await stampOf(), await registrationOf(db, 'stamped'), await runsOf(db, 'stamped')]
    const result = await ayb(['matviews', 'refresh', 'stamped', '--json'], {url: db.url})
    const inText = await ayb(['matviews', 'refresh', 'stamped'], {url: db.url})
    const after = [await stampOf(), await registrationOf(db, 'stamped'), await runsOf(db, 'stamped')]
    free()
    expect(result.code).toBe(1)
    expect(errorOf(result)).toMatchObject({
      code: 'REFRESH_FAILED',
      message: expect.stringMatching(NO_SPACE),
      hint: 'Check free disk space.',
      details: {sqlstate: '53100'},
    })
    expect(inText).toMatchObject({code: 1, stdout: ''})
    expect(inText.stderr).toMatch(/^Error: the refresh of public\.stamped failed: .*No space left .*53100/m)
    expect(inText.stderr).toMatch(/^Warning: .*public\.stamped .*could not be recorded: .*No space left/m)
    expect(after).toEqual(before)
    await untilNothingIsLeft(db, PATIENCE_MS)

    expect((await ayb(['matviews', 'refresh', 'stamped'], {url: db.url})).code).toBe(0)
    expect(await registrationOf(db, 'stamped')).toMatchObject({last_refresh_status: 'success'})
    expect(await runsOf(db, 'stamped')).toHaveLength((before[2] as unknown[]).length + 1)
  })

  test('keeps a worker from its work until there is room again: then it ends each job once, by itself', async () => {
    const worker = await startWorker(db)
    const id = await insertJob(db, {view_name: 'stamped'}, {run_at: '2100-01-01'})
    const scheduleId = await insertSchedule(db, 'once', {
      view: 'stamped',
      nextRunAt: `now() + interval '1 hour'`,
    })
    const free = await fillDisk()
    const before = await stampOf()
    await db.query('update _ayb_jobs set run_at = now() where id = $1', [id])
    await db.query('notify ayb_cli_wake')
    // It could claim the job, and then record neither a success nor the failure.
    const unrecorded = ({msg}: LogLine) => /public\.stamped .*could not be recorded/.test(msg)
    expect((await worker.waitForLog(unrecorded, 'the first complaint')).msg).toMatch(NO_SPACE)
    await db.query('update _ayb_job_schedules set next_run_at = now() where id = $1', [scheduleId])
    const isOfTurn = (line: LogLine) => NO_SPACE.test(line.msg) && !unrecorded(line)
    const control = backendOf(await worker.waitForLog(isOfTurn, 'another complaint'))
    // The turns of a worker fail on its control session; one that has nothing due in between goes well.
    for (let round = 1; round <= 3; round++) {
      const failed = failuresOf(control)
      await setDue(scheduleId, 'now()')
      await until(() => failuresOf(control) > failed, {what: 'a turn to fail', timeoutMs: PATIENCE_MS})
      await untilTurned(control, await setDue(scheduleId, `'2100-01-01'`))
    }
    await setDue(scheduleId, 'now()')
    expect(await jobOf(db, id)).toMatchObject({state: 'running', attempts: 1})
    expect(await runsOfJob(db, id)).toEqual([])
    expect(await stampOf()).toEqual(before)

    free()
    expect(await untilState(db, id, 'completed')).toMatchObject({attempts: 2, last_error: null})
    expect(await runsOfJob(db, id)).toMatchObject([
      {status: 'error', error: expect.stringMatching(NO_SPACE)},
      {status: 'success'},
    ])
    const due = await until(
      async () => {
        const jobs = await db.query<{id: string; state: string}>(
          'select id, state from _ayb_jobs where schedule_id = $1',
          [scheduleId],
        )
        return jobs.some(({state}) => state === 'completed') && jobs
      },
      {what: 'what was due meanwhile', timeoutMs: PATIENCE_MS},
    )
    expect(due).toHaveLength(1)
    const runs = await runsOfJob(db, due[0]?.id ?? '')
    expect(runs.filter(({status}) => status === 'success')).toHaveLength(1)
    // Each thing is said once, however often it was tried.
    const said = complaints([worker])
    expect(said.filter(unrecorded)).toHaveLength(1)
    expect(said.filter(isOfTurn)).toHaveLength(1)
    expect(said.filter(({msg}) => /taken over|died/.test(msg))).toEqual([])
    const {done} = worker
    await stopWorkers([worker])
    expect(await done).toMatchObject({code: 0, stderr: ''})
    expect(await leftBehind(db)).toEqual([])
  })
})
