import pg from 'pg'
import {afterAll, beforeAll, describe, expect, test} from 'vitest'
import {type Changes, watchChanges} from '../support/changes.ts'
import {type PostgresServer, startPostgres} from '../support/postgres.ts'
import {sendSignal} from '../support/postgres-folder.ts'
import {
  ask,
  crashAndRestart,
  rejoinAsStandby,
  startStandby,
  stopAndRestart,
  stopInOrder,
  untilCaughtUp,
} from '../support/standby.ts'
import {until} from '../support/until.ts'

let server: PostgresServer

beforeAll(async () => {
  server = await startPostgres({
    settings: {
      max_prepared_transactions: '5',
      wal_level: 'logical',
      restart_after_crash: 'on',
      max_wal_senders: '5',
    },
  })
}, 60_000)

afterAll(() => server?.stop())

/** Runs work on a fresh session of ayb: the servers of these tests lose sessions. */
async function looking<T>(work: (changes: Changes) => Promise<T>, url = server.url()): Promise<T> {
  const changes = await watchChanges(url)
  try {
    return await work(changes)
  } finally {
    await changes.close()
  }
}

const check = (view: string, url = server.url()) => looking((changes) => changes.check(view), url)

/**
 * A view that reads a table of five rows and is known to be unchanged. The counters of the view itself are 0,
 * as they are after the loss: a concurrent refresh finds no difference.
 */
async function viewOfFive(table: string, on = server): Promise<string> {
  const view = await looking(
    (changes) =>
      changes.settled(
        `select 1 as id, count(*)::int as n from ${table} having count(*) > 5`,
        `create table ${table} (id int)`,
        `insert into ${table} select generate_series(1, 5)`,
      ),
    on.url(),
  )
  await ask(on, `create unique index on ${view} (id)`)
  expect(await looking((changes) => changes.check(view, 'concurrent'), on.url())).toBe('unchanged')
  const [counted] = await ask(on, `select pg_stat_get_tuples_inserted('${view}'::regclass)::int as n`)
  expect(counted).toEqual({n: 0})
  return view
}

const addFive = (table: string, on = server) => ask(on, `insert into ${table} select generate_series(1, 5)`)

async function expectRows(view: string, n: number, url = server.url()): Promise<void> {
  const client = new pg.Client({connectionString: url})
  await client.connect()
  const {rows} = await client.query(`select n from ${view}`)
  await client.end()
  expect(rows).toEqual([{n}])
}

/** Until the server takes connections, after it has ended all sessions. */
const untilBack = () =>
  until(
    () =>
      ask(server, 'select').then(
        (rows) => rows.length === 1,
        () => false,
      ),
    {
      what: 'the server to be back',
      timeoutMs: 60_000,
    },
  )

describe('how counters get lost: five rows, the loss, and five rows again', () => {
  test('a crash', async () => {
    const view = await viewOfFive('crashed')
    await ask(server, 'checkpoint')
    await crashAndRestart(server)
    await addFive('crashed')
    expect([await check(view), await check(view)]).toEqual(['refreshed', 'unchanged'])
    await expectRows(view, 10)
  }, 120_000)

  test('a backend that is killed', async () => {
    const view = await viewOfFive('killed')
    await ask(server, 'checkpoint')
    const victim = new pg.Client({connectionString: server.url()})
    victim.on('error', () => {})
    await victim.connect()
    const {rows} = await victim.query('select pg_backend_pid() as pid')
    sendSignal(rows[0].pid, 'SIGKILL')
    await until(
      () =>
        ask(server, 'select').then(
          () => false,
          () => true,
        ),
      {what: 'the server to end all sessions'},
    ).catch(
      // It was back before anybody looked.
      () => {},
    )
    await untilBack()
    await addFive('killed')
    expect([await check(view), await check(view)]).toEqual(['refreshed', 'unchanged'])
    await expectRows(view, 10)
  }, 120_000)

  test('a reset of what tells of crashes', async () => {
    const view = await viewOfFive('archived')
    await ask(server, `select pg_stat_reset_shared('archiver')`)
    expect([await check(view), await check(view)]).toEqual(['refreshed', 'unchanged'])
  })

  test('a restart in good order loses none', async () => {
    const view = await viewOfFive('restarted')
    await stopAndRestart(server)
    expect(await check(view)).toBe('unchanged')
    await addFive('restarted')
    expect([await check(view), await check(view)]).toEqual(['refreshed', 'unchanged'])
    await expectRows(view, 10)
  }, 120_000)

  test('a standby that is promoted', async () => {
    const view = await viewOfFive('promoted')
    const standby = await startStandby(server)
    try {
      await untilCaughtUp(standby, server)
      await ask(standby, 'select pg_promote()')
      await ask(standby, 'insert into promoted select generate_series(1, 5)')
      // Without a checkpoint, the control file still names the old timeline.
      expect(await check(view, standby.url())).toBe('refreshed')
      expect(await check(view, standby.url())).toBe('unchanged')
      await expectRows(view, 10, standby.url())
    } finally {
      await standby.stop()
    }
  }, 120_000)

  test('a switch to a standby and back', async () => {
    const home = await startPostgres({settings: {max_wal_senders: '5'}})
    let standby: PostgresServer | null = null
    try {
      const view = await viewOfFive('switched', home)
      standby = await startStandby(home)
      await untilCaughtUp(standby, home)
      await stopInOrder(home)
      await ask(standby, 'select pg_promote()')
      // The counters of the standby know these rows. Those of the first server stay as they were.
      await addFive('switched', standby)
      await rejoinAsStandby(home, standby)
      await untilCaughtUp(home, standby)
      await stopInOrder(standby)
      await ask(home, 'select pg_promote()')
      expect(
        await ask(home, `select n_tup_ins::int as n from pg_stat_user_tables where relname = 'switched'`),
      ).toEqual([{n: 5}])
      expect([await check(view, home.url()), await check(view, home.url())]).toEqual([
        'refreshed',
        'unchanged',
      ])
      await expectRows(view, 10, home.url())
    } finally {
      await standby?.stop()
      await home.stop()
    }
  }, 120_000)

  test('a database that is made of another one', async () => {
    const view = await viewOfFive('copied')
    await ask(server, `create database copy template postgres`)
    const url = server.url('copy')
    const client = new pg.Client({connectionString: url})
    await client.connect()
    await client.query('insert into copied select generate_series(1, 5)')
    await client.end()
    expect([await check(view, url), await check(view, url)]).toEqual(['refreshed', 'unchanged'])
    await expectRows(view, 10, url)
  }, 60_000)
})

test('a transaction that was prepared counts when it is committed, also after a restart', async () => {
  const view = await viewOfFive('prepared')
  const client = new pg.Client({connectionString: server.url()})
  await client.connect()
  await client.query('begin')
  await client.query('insert into prepared values (6)')
  await client.query(`prepare transaction 'p'`)
  await client.end()
  expect(await check(view)).toBe('unchanged')
  await stopAndRestart(server)
  expect(await check(view)).toBe('unchanged')
  await ask(server, `commit prepared 'p'`)
  expect([await check(view), await check(view)]).toEqual(['refreshed', 'unchanged'])
  await expectRows(view, 6)
}, 120_000)

test('rows that come by logical replication count', async () => {
  const view = await viewOfFive('replicated')
  await ask(server, 'create database source')
  const source = new pg.Client({connectionString: server.url('source')})
  await source.connect()
  await source.query('create table replicated (id int)')
  await source.query('create publication p for table replicated')
  await source.query(`select pg_create_logical_replication_slot('s', 'pgoutput')`)
  await ask(
    server,
    `create subscription s connection '${server.url('source')}' publication p
       with (create_slot = false, slot_name = 's', copy_data = false)`,
  )
  await source.query('insert into replicated values (6)')
  const isThere = 'select from replicated where id = 6'
  await until(async () => (await ask(server, isThere)).length === 1, {what: 'the row to arrive'})
  // The worker sends its counters when nothing has come for a second. Looks of ayb write, and the server
  // tells the worker of that.
  const count = `select from pg_stat_user_tables where relname = 'replicated' and n_tup_ins = 6`
  await until(async () => (await ask(server, count)).length === 1, {
    what: 'the row to count',
    timeoutMs: 30_000,
  })
  expect(await check(view)).toBe('refreshed')
  await ask(server, 'alter subscription s disable')
  await ask(server, 'alter subscription s set (slot_name = none)')
  await ask(server, 'drop subscription s')
  await source.end()
  expect(await check(view)).toBe('unchanged')
  await expectRows(view, 6)
}, 60_000)
