import {createServer, type Server, type Socket} from 'node:net'
import {afterAll, beforeAll, describe, expect, test} from 'vitest'
import {type RunningAyb, startAyb} from '../support/ayb.ts'
import type {TestDatabase} from '../support/database.ts'
import {
  createGatedView,
  createRefreshDatabase,
  errorOf,
  type Gate,
  holdsViewLock,
  register,
  registrationOf,
  runsOf,
  serverClockMs,
  untilBlocked,
  untilGone,
  untilNothingIsLeft,
  untilRefreshing,
} from '../support/refresh.ts'
import {openTerminal} from '../support/terminal.ts'
import {until} from '../support/until.ts'

let db: TestDatabase
let gate: Gate

beforeAll(async () => {
  db = await createRefreshDatabase()
  gate = await createGatedView(db, 'gated')
})

const start = (...args: string[]) => startAyb(['matviews', 'refresh', ...args], {url: db.url})

const backend = async (pid: number) =>
  db.query('select state, query from pg_stat_activity where pid = $1', [pid])

async function expectCanceled(view: string, message: string): Promise<void> {
  expect((await runsOf(db, view))[0]).toMatchObject({status: 'canceled', error: message})
  // The status tells of the view, not of whoever pressed Ctrl-C.
  expect(await registrationOf(db, view)).toMatchObject({last_refresh_status: null, last_refresh_error: null})
}

describe('a signal in the middle of a refresh', () => {
  test.each([
    ['SIGINT', 130, 'standard'],
    ['SIGTERM', 143, 'concurrent'],
    ['SIGHUP', 129, 'standard'],
  ] as const)('%s cancels it on the server, and exits %i', async (signal, code, mode) => {
    await gate.close()
    const running = start('gated', '--mode', mode)
    const pid = await untilRefreshing(db, 'gated')
    running.kill(signal)
    const result = await running.done
    const active = (await backend(pid)).filter(({state}) => state === 'active')
    await untilNothingIsLeft(db, 1000)
    await gate.open()

    expect(result).toMatchObject({code, signal: null, stdout: '', stderr: `Error: canceled by ${signal}\n`})
    expect(active).toEqual([])
    await expectCanceled('gated', `canceled by ${signal}`)
  })

  test('is one JSON document with --json', async () => {
    await gate.close()
    const running = start('gated', '--json')
    await untilRefreshing(db, 'gated')
    running.kill('SIGINT')
    const result = await running.done
    await gate.open()
    expect(result).toMatchObject({code: 130, stderr: ''})
    expect(errorOf(result)).toEqual({
      code: 'CANCELED',
      message: 'canceled by SIGINT',
      hint: null,
      status: 499,
      details: {signal: 'SIGINT'},
    })
  })

  test('ends a refresh that waits for a lock on the view', async () => {
    const reader = await db.connect()
    await reader.query('begin; select * from gated')
    const running = start('gated')
    await untilRefreshing(db, 'gated')
    running.kill('SIGINT')
    expect((await running.done).code).toBe(130)
    await reader.query('rollback')
    await expectCanceled('gated', 'canceled by SIGINT')
  })

  test('ends a command that waits for ayb’s own tables', async () => {
    const blocker = await db.connect()
    await blocker.query('begin; lock table _ayb_matview_refreshes')
    const running = start('gated')
    await untilBlocked(db, '_ayb_matview_refreshes')
    running.kill('SIGINT')
    const result = await running.done
    await blocker.query('rollback')
    expect(result).toMatchObject({code: 130, stderr: 'Error: canceled by SIGINT\n'})
  })
})

describe('Ctrl-C on a terminal', () => {
  test('cancels the refresh and says so below the cleared spinner', async () => {
    await gate.close()
    const terminal = openTerminal(['matviews', 'refresh', 'gated'], {url: db.url})
    await terminal.waitFor(/Refreshing public\.gated/)
    const pid = await untilRefreshing(db, 'gated')
    terminal.write('\x03')
    const {code, output} = await terminal.done
    await gate.open()
    expect(code).toBe(130)
    expect(output.slice(output.lastIndexOf('Refreshing'))).toMatch(/canceled by SIGINT\r\n/)
    expect((await backend(pid)).filter(({state}) => state === 'active')).toEqual([])
    await expectCanceled('gated', 'canceled by SIGINT')
  })

  test('leaves at once the second time, also when the statement does not let itself be canceled', async () => {
    await db.query(
      `create function stubborn() returns int language plpgsql as $$
       begin
         loop
           begin
             perform from public.held for update;
             return 1;
           exception when query_canceled then
             perform pg_advisory_xact_lock(1, 2);
           end;
         end loop;
       end $$`,
    )
    await db.query('create table held as select 1 as id')
    await db.query('create materialized view stubborn as select stubborn() as n')
    await register(db, 'stubborn')
    const keeper = await db.connect()
    await keeper.query('begin; select * from held for update')
    const terminal = openTerminal(['matviews', 'refresh', 'stubborn'], {url: db.url})
    const pid = await untilRefreshing(db, 'stubborn')
    terminal.write('\x03')
    const shrugged = `select from pg_locks where pid = $1 and locktype = 'advisory' and objsubid = 2`
    await until(async () => (await db.query(shrugged, [pid])).length > 0, {
      what: 'the statement to be canceled in vain',
    })
    const before = performance.now()
    terminal.write('\x03')
    const {code} = await terminal.done
    expect(performance.now() - before).toBeLessThan(2000)
    expect(code).toBe(130)
    await untilNothingIsLeft(db, 5000)
    await keeper.query('rollback')
  })
})

describe('SIGINT while connecting', () => {
  let server: Server
  const sockets: Socket[] = []

  beforeAll(async () => {
    server = createServer((socket) => {
      sockets.push(socket.on('error', () => {}))
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  })

  afterAll(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })

  test('to a server that never answers ends the command', async () => {
    const {port} = server.address() as {port: number}
    const running = startAyb(['matviews', 'refresh', 'leaderboard'], {
      url: `postgres://someone:secret@127.0.0.1:${port}/app`,
    })
    await until(() => sockets.length > 0, {what: 'a connection'})
    const before = performance.now()
    running.kill('SIGINT')
    const result = await running.done
    expect(result).toMatchObject({code: 130, stdout: '', stderr: 'Error: canceled by SIGINT\n'})
    expect(performance.now() - before).toBeLessThan(3000)
  })
})

describe('SIGKILL in the middle of a refresh', () => {
  beforeAll(async () => {
    await db.query('create table naps as select 0::float as seconds')
    await db.query(
      `create materialized view nap as
       select 1 as id, pg_sleep(seconds)::text as slept, clock_timestamp() as stamp from naps`,
    )
    await db.query('create unique index on nap (id)')
    await register(db, 'nap')
  })

  /** What is recorded of a view, and its data. */
  const recorded = async (view: string) => ({
    registration: await registrationOf(db, view),
    runs: await runsOf(db, view),
    rows: await db.query(`select * from ${view}`),
  })

  /** Kills the refresh, and has the server end it and let go of its locks within five seconds. */
  async function kill(running: RunningAyb, view: string): Promise<void> {
    const pid = await untilRefreshing(db, view)
    expect(await holdsViewLock(db, pid, view)).toBe(true)
    const killedAt = await serverClockMs(db)
    running.kill('SIGKILL')
    expect(await running.done).toMatchObject({code: null, signal: 'SIGKILL'})
    expect((await untilGone(db, pid)) - killedAt).toBeLessThan(5000)
    await untilNothingIsLeft(db, 1000)
  }

  test.each(['standard', 'concurrent'])('ends a %s refresh and its lock on the server', async (mode) => {
    await db.query('update naps set seconds = 60')
    const before = await recorded('nap')
    await kill(start('nap', '--mode', mode), 'nap')
    expect(await recorded('nap')).toEqual(before)
    await db.query('update naps set seconds = 0')
    expect((await start('nap').done).code).toBe(0)
    expect(await registrationOf(db, 'nap')).toMatchObject({last_refresh_status: 'success'})
    expect(await runsOf(db, 'nap')).toHaveLength(before.runs.length + 1)
  })

  test('ends one that waits for a lock, too', async () => {
    const before = await recorded('gated')
    await gate.close()
    await kill(start('gated'), 'gated')
    await gate.open()
    expect(await recorded('gated')).toEqual(before)
  })
})
