import {existsSync} from 'node:fs'
import pg from 'pg'
import {describe, expect, test} from 'vitest'
import {ayb, startAyb} from '../support/ayb.ts'
import {createTestDatabase} from '../support/database.ts'
import {openTerminal} from '../support/terminal.ts'
import {until} from '../support/until.ts'

describe('a test database', () => {
  test('has the example, the same each time', async () => {
    const db = await createTestDatabase()
    const [counts] = await db.query(
      'select (select count(*)::int from users) as users, (select count(*)::int from workouts) as workouts',
    )
    expect(counts).toEqual({users: 50, workouts: 500})
    expect(await db.query('select * from leaderboard order by total_minutes desc, id limit 1')).toEqual([
      {
        id: expect.any(Number),
        name: expect.any(String),
        workout_count: '10',
        total_minutes: expect.any(String),
      },
    ])
  })

  test('is empty without the template', async () => {
    const db = await createTestDatabase({template: false})
    expect(await db.query(`select 1 from pg_class where relnamespace = 'public'::regnamespace`)).toEqual([])
    expect(await db.query('show server_encoding')).toEqual([{server_encoding: 'UTF8'}])
  })

  test('can be made many times at once', async () => {
    const databases = await Promise.all(Array.from({length: 8}, () => createTestDatabase()))
    expect(new Set(databases.map(({name}) => name)).size).toBe(8)
    await Promise.all(databases.map((db) => db.drop()))
  })

  test('has roles of its own', async () => {
    const db = await createTestDatabase()
    const role = await db.createRole('reader', {
      password: 'p@ss/w%rd',
      attributes: 'createrole',
      settings: {statement_timeout: '1s', search_path: ['app', 'public']},
    })
    const client = new pg.Client({connectionString: role.url})
    await client.connect()
    const {rows} = await client.query(
      `select current_user::text as "user", current_setting('statement_timeout') as timeout,
              current_setting('search_path') as path`,
    )
    await client.end()
    expect(rows).toEqual([{user: role.name, timeout: '1s', path: 'app, public'}])
  })

  test('is dropped under open sessions, with its roles', async () => {
    const db = await createTestDatabase()
    const other = await createTestDatabase()
    const role = await db.createRole('owner')
    await db.query(`create table owned (); alter table owned owner to ${role.name}`)
    const client = await db.connect()
    await client.query('begin')
    await db.drop()
    expect(await other.query('select 1 from pg_database where datname = $1', [db.name])).toEqual([])
    expect(await other.query('select 1 from pg_roles where rolname = $1', [role.name])).toEqual([])
  })

  test('is reached through the socket without a password', async (context) => {
    const db = await createTestDatabase()
    if (db.socketDir === null) return context.skip()
    const client = new pg.Client({host: db.socketDir, port: db.port, user: db.user, database: db.name})
    await client.connect()
    expect((await client.query('select inet_server_addr() as address')).rows).toEqual([{address: null}])
    await client.end()
  })
})

describe('until', () => {
  test('waits for an answer', async () => {
    let asked = 0
    expect(await until(() => ++asked === 3 && 'yes', {what: 'the third time'})).toBe('yes')
  })

  test('says what it waited for', async () => {
    await expect(until(() => null, {what: 'the moon', timeoutMs: 50})).rejects.toThrow('the moon')
  })
})

describe('the program', () => {
  test('runs with nothing inherited', async () => {
    const result = await ayb(['--version'])
    expect(result).toMatchObject({code: 0, signal: null, stderr: ''})
    expect(result.stdout).toMatch(/^ayb\/\d/)
    expect(() => result.json()).toThrow('not one JSON document')
  })

  test('is killed when it takes too long', async () => {
    await expect(ayb(['--version'], {timeoutMs: 1})).rejects.toThrow('did not end within 1 ms')
  })

  test('says how it ended without the output that was waited for', async () => {
    const running = startAyb(['--version'])
    await expect(running.waitForOutput(/never/)).rejects.toThrow(
      /ended without \/never\/: ayb --version\nstdout: ayb/,
    )
    expect((await running.done).code).toBe(0)
    expect(existsSync(`/proc/${running.pid}`)).toBe(false)
  })

  test('runs on a terminal', async () => {
    const terminal = openTerminal(['--version'], {columns: 60})
    await terminal.waitFor(/ayb\/\d+\.\d+/)
    expect(await terminal.done).toMatchObject({code: 0, signal: 0, output: expect.stringMatching(/\r\n$/)})
  })
})
