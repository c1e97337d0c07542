import {mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {afterAll, describe, expect, test} from 'vitest'
import {type Connected, connect} from '../../src/db/connection/connect.ts'
import {AybError} from '../../src/lib/errors.ts'
import {createTestDatabase} from '../support/database.ts'

const folder = mkdtempSync(join(tmpdir(), 'ayb-connect-'))
const sessions: Connected[] = []

afterAll(async () => {
  await Promise.all(sessions.map(({client}) => client.end()))
  rmSync(folder, {recursive: true})
})

async function open(databaseUrl?: string, env: Record<string, string> = {}): Promise<Connected> {
  const session = await connect({databaseUrl, env: {HOME: folder, ...env}, applicationName: 'ayb test'})
  sessions.push(session)
  return session
}

async function failure(attempt: Promise<Connected>): Promise<AybError> {
  const outcome = await attempt.then(
    () => new Error('connected'),
    (error: unknown) => error,
  )
  if (outcome instanceof AybError) return outcome
  throw outcome
}

async function value(session: Connected, sql: string): Promise<unknown> {
  const {rows} = await session.client.query<{value: unknown}>(`select (${sql}) as value`)
  return rows[0]?.value
}

describe('a session', () => {
  test('is where and who the URL says, under our name', async () => {
    const db = await createTestDatabase()
    const session = await open(db.url)
    expect(session.target).toEqual({host: db.host, port: db.port, database: db.name, user: db.user})
    expect(await value(session, `current_database() || '/' || current_setting('application_name')`)).toBe(
      `${db.name}/ayb test`,
    )
  })

  test('is where and who the PG* variables say, the password from its file', async () => {
    const db = await createTestDatabase()
    writeFileSync(join(folder, '.pgpass'), `${db.host}:*:*:${db.user}:${db.password}\n`, {mode: 0o600})
    const env = {PGHOST: db.host, PGPORT: String(db.port), PGUSER: db.user, PGDATABASE: db.name}
    expect(await value(await open(undefined, env), 'current_user::text')).toBe(db.user)
    rmSync(join(folder, '.pgpass'))
    expect((await failure(open(undefined, env))).message).toContain('asks for a password')
  })

  test('is refused in one line for a wrong password and for an unknown database', async () => {
    const db = await createTestDatabase()
    const url = new URL(db.url)
    url.password = 'wrong'
    const at = `at ${db.host}:${db.port} as user "${db.user}"`
    expect(await failure(open(url.href))).toMatchObject({
      message: `cannot connect to database "${db.name}" ${at}: password authentication failed`,
      details: {sqlstate: '28P01'},
    })
    expect(await failure(open(`${db.url}_not`))).toMatchObject({
      message: `cannot connect to database "${db.name}_not" ${at}: the database does not exist`,
      details: {sqlstate: '3D000'},
    })
  })

  test('cancels what it runs', async () => {
    const session = await open((await createTestDatabase()).url)
    const running = session.client.query('select pg_sleep(60)')
    const outcome = expect(running).rejects.toMatchObject({code: '57014'})
    const asked = setInterval(() => session.cancel(), 100)
    await outcome
    clearInterval(asked)
    expect(await value(session, '1')).toBe(1)
  })

  test('whose backend is killed does not end the process', async () => {
    const db = await createTestDatabase()
    const {client} = await open(db.url)
    const ended = new Promise((resolve) => client.once('end', resolve))
    const {rows} = await client.query<{pid: number}>('select pg_backend_pid() as pid')
    await db.query('select pg_terminate_backend($1)', [rows[0]?.pid])
    await ended
  })

  test('is with the kind of server that was asked for', async () => {
    const db = await createTestDatabase()
    for (const attrs of ['any', 'read-write', 'primary', 'prefer-standby']) {
      await open(`${db.url}?target_session_attrs=${attrs}`)
    }
    await open(`${db.url}?target_session_attrs=read-only&options=-c%20default_transaction_read_only%3Don`)
    expect((await failure(open(`${db.url}?target_session_attrs=standby`))).message).toContain('not a standby')
    expect((await failure(open(`${db.url}?target_session_attrs=read-only`))).message).toContain(
      'not read-only',
    )
  })
})
