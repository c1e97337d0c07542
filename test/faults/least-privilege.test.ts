import {readFileSync} from 'node:fs'
import {join} from 'node:path'
import pg from 'pg'
import {afterAll, beforeAll, describe, expect, inject, test} from 'vitest'
import type {JobDocument} from '../../src/lib/records/jobs.ts'
import type {RegistrationDocument} from '../../src/lib/records/registrations.ts'
import type {ScheduleDocument} from '../../src/lib/records/schedules.ts'
import {ayb} from '../support/ayb.ts'
import {documentOf, failureOf} from '../support/documents.ts'
import {type PostgresServer, startPostgres} from '../support/postgres.ts'
import {pretendWorker} from '../support/schedules.ts'
import {startServer, stopServers} from '../support/serve.ts'
import {fillTemplate} from '../support/template.ts'
import {complaints, type LogLine, startWorker, stopWorkers} from '../support/worker.ts'

// On a server of its own: the README names its role, and roles are the whole server's.
let server: PostgresServer
let version: number
/** Superuser; the owner of the database, of the example's tables and of ayb's. */
let root: pg.Client
let owner: pg.Client
const clients: pg.Client[] = []

const urlOf = (role: string, password: string) =>
  `postgres://${role}:${encodeURIComponent(password)}@${server.host}:${server.port}/app`

async function connect(connectionString: string): Promise<pg.Client> {
  const client = new pg.Client({connectionString})
  client.on('error', () => {})
  clients.push(client)
  await client.connect()
  return client
}

async function createLogin(role: string): Promise<{url: string}> {
  await root.query(`create role ${role} login password 'secret'; grant usage on schema public to ${role}`)
  return {url: urlOf(role, 'secret')}
}

/**
 * The SQL of the README's section on the role, as it stands there, but for what it says is for other
 * versions.
 */
function readmeSql(): string[] {
  const readme = readFileSync(join(inject('root'), 'README.md'), 'utf8')
  const section = /^## A role with least privilege\n(.*?)^## /ms.exec(readme)?.[1] ?? ''
  const blocks = [...section.matchAll(/^```sql\n(.*?)^```$/gms)].map(([, sql]) => sql as string)
  expect(blocks).toHaveLength(3)
  const [role = '', ...others] = blocks
  const forNew = /^GRANT MAINTAIN ON .*-- PostgreSQL 17 and newer$/m
  const forOld = /^-- (GRANT leaderboard_owner TO .*-- PostgreSQL 14 to 16\b.*)$/m
  expect(role).toMatch(forNew)
  expect(role).toMatch(forOld)
  return version >= 170_000 ? blocks : [role.replace(forNew, '').replace(forOld, '$1'), ...others]
}

/** Whom ayb runs as. */
let least: {url: string}
/** Whom views are read as. */
let reader: {url: string}

beforeAll(async () => {
  server = await startPostgres()
  const admin = await connect(server.url())
  await admin.query(`create role app_owner login password 'secret'`)
  await admin.query('create database app owner app_owner')
  root = await connect(server.url('app'))
  const {rows} = await root.query(`select current_setting('server_version_num')::int as version`)
  version = rows[0].version
  await root.query(
    `revoke all on schema public from public; grant usage, create on schema public to app_owner`,
  )
  owner = await connect(urlOf('app_owner', 'secret'))
  await fillTemplate(owner)
  await owner.query('create unique index on leaderboard (id); create table notes (id int)')
  await root.query(`create role leaderboard_owner;
    grant usage on schema public to leaderboard_owner;
    grant select on users, workouts to leaderboard_owner;
    alter materialized view leaderboard owner to leaderboard_owner`)

  const [role = '', tables = '', login = ''] = readmeSql()
  await root.query(role)
  const passwordIn = (sql: string) => /PASSWORD '([^']+)'/.exec(sql)?.[1] ?? ''
  least = {url: urlOf('ayb', passwordIn(role))}
  await documentOf(['migrate'], {url: urlOf('app_owner', 'secret')})
  await owner.query(tables)
  await root.query(login)
  reader = {url: urlOf('ayb_reader', passwordIn(login))}
})

afterAll(async () => {
  for (const client of clients) await client.end()
  await server?.stop()
})

describe('the role of the README', {timeout: 120_000}, () => {
  test('has little: it reads no table of the application, and makes none', async () => {
    const session = await connect(least.url)
    // Until 16 it can what the owner of the view can.
    const ofTheView = ['select from users', 'select from leaderboard', 'drop materialized view leaderboard']
    for (const statement of [
      ...(version >= 170_000 ? ofTheView : []),
      'select from notes',
      'create table public.mine (id int)',
      'drop table _ayb_jobs',
      'insert into _ayb_cli_migrations (version, name) values (9000, $$x$$)',
    ]) {
      await expect(session.query(statement), statement).rejects.toMatchObject({code: '42501'})
    }
    const {rows} = await root.query(
      `select rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls from pg_roles where rolname = 'ayb'`,
    )
    expect(Object.values(rows[0])).toEqual([false, false, false, false, false])
  })

  test('reads no views of others over HTTP, and a login that may do nothing else does', async () => {
    await documentOf(['matviews', 'register', 'public.leaderboard', '--if-not-exists'], least)
    const path = '/api/collections/leaderboard'
    const asItself = await startServer(least)
    const refused = await asItself.get(path)
    expect(refused.status).toBe(403)
    expect(refused.json()).toMatchObject({
      message: expect.stringContaining('the view belongs to leaderboard_owner'),
      hint: expect.stringContaining('AYB_COLLECTIONS_URL'),
    })
    const own = await startServer(least, [], {env: {AYB_COLLECTIONS_URL: reader.url}})
    expect((await own.get(path)).json()).toMatchObject({totalItems: 50})
    await stopServers([asItself, own])
    const session = await connect(reader.url)
    for (const table of ['users', '_ayb_jobs', '_ayb_matview_refreshes']) {
      await expect(session.query(`select from ${table}`)).rejects.toMatchObject({code: '42501'})
    }
    await documentOf(['matviews', 'unregister', 'public.leaderboard'], least)
  })

  test('is enough for every command, without a warning', async () => {
    await pretendWorker(owner)
    for (const line of [
      ['migrate'],
      ['matviews', 'register', 'public.leaderboard'],
      ['matviews', 'list'],
      ['matviews', 'discover'],
      ['matviews', 'refresh', 'public.leaderboard'],
      ['matviews', 'refresh', 'public.leaderboard', '--timeout', '10m', '--lock-timeout', '20s'],
      ['matviews', 'refresh', 'public.leaderboard', '--wait-timeout', '5m'],
      ['matviews', 'update', 'public.leaderboard', '--mode', 'concurrent'],
      ['matviews', 'refresh', 'public.leaderboard'],
      ['matviews', 'show', 'public.leaderboard'],
      ['matviews', 'history', 'public.leaderboard', '--limit', '50'],
      ['schedules', 'create', '--name', 'nightly', '--cron', '30 2 * * *', '--view', 'public.leaderboard'],
      ['schedules', 'list'],
      ['schedules', 'update', 'nightly', '--cron', '0 3 * * *'],
      ['schedules', 'disable', 'nightly'],
      ['schedules', 'enable', 'nightly'],
    ]) {
      const document = await documentOf<{warnings?: string[]}>(line, least)
      if (!Array.isArray(document)) expect(document.warnings, line.join(' ')).toEqual([])
    }
    const {job} = await documentOf<JobDocument>(['schedules', 'run', 'nightly'], least)
    const once = await documentOfWorker()
    expect(once).toMatchObject({claimed: 1, succeeded: 1, warnings: []})
    for (const line of [
      ['jobs', 'show', job.id],
      ['jobs', 'list', '--state', 'completed'],
      ['jobs', 'stats'],
      ['jobs', 'prune', '--older-than', '0s'],
      ['schedules', 'delete', 'nightly'],
      ['matviews', 'unregister', 'public.leaderboard'],
    ]) {
      await documentOf(line, least)
    }
  })

  /** Its logs are on stderr. */
  async function documentOfWorker(): Promise<unknown> {
    return (await ayb(['worker', '--once', '--json'], least)).json()
  }

  test('is enough for a worker, which is woken, and ends another one that stopped in mid-job', async () => {
    const create = ['schedules', 'create', '--name', 'hourly', '--cron', '@hourly', '--view', 'leaderboard']
    await documentOf<ScheduleDocument>(create, least)
    const worker = await startWorker(least, ['--poll-interval', '60s', '--listen', '127.0.0.1:0'])
    const {job} = await documentOf<JobDocument>(['schedules', 'run', 'hourly'], least)
    await worker.waitForLog(({msg, jobId}) => msg === 'refreshed' && jobId === job.id, 'the refresh')
    const [, address] = await worker.waitForOutput(/listening on (http:[^"]+)/)
    expect(await (await fetch(`${address}/metrics`)).text()).toMatch(
      /ayb_jobs\{state="completed",[^}]+\} 1\n/,
    )
    await stopWorkers([worker])
    expect(complaints([worker])).toEqual([])

    // A session that holds a key and does nothing, as that of a stopped worker.
    const frozen = await connect(least.url)
    const key = 'abcdef0123456789'
    await frozen.query(`set application_name = 'ayb worker'`)
    await frozen.query(`select pg_advisory_lock_shared(('x' || $1)::bit(64)::bigint)`, [key])
    const {rows} = await owner.query(
      `insert into _ayb_jobs (type, payload, state, attempts, worker_id, lease_until)
       values ('materialized_view_refresh', '{"view_name": "leaderboard"}', 'running', 1, $1, '2020-01-01')
       returning id`,
      [`ayb:${key}:host:1`],
    )
    const heir = await startWorker(least, ['--poll-interval', '200ms'])
    await heir.waitForLog(({msg, jobId}) => msg === 'refreshed' && jobId === rows[0].id, 'its job')
    await stopWorkers([heir])
    expect(complaints([heir]).map(({msg}) => msg)).toEqual([
      'ended 1 sessions of a worker that outlived its lease',
      'its worker died, queued again:',
    ])
  })
})

describe('a role that owns its view, and may not use the tables', {timeout: 120_000}, () => {
  const LINES = [
    ['matviews', 'list'],
    ['matviews', 'register', 'standings'],
    ['matviews', 'discover'],
    ['schedules', 'create', '--name', 'standings', '--cron', '@daily', '--view', 'standings'],
    ['schedules', 'list'],
    ['jobs', 'list'],
    ['jobs', 'stats'],
    ['matviews', 'refresh', 'standings'],
    ['worker'],
    ['worker', '--once'],
    ['migrate'],
  ]

  test('is told the same GRANT by every command, which is enough for all of them', async () => {
    const role = await createLogin('standings_owner')
    await root.query(`create materialized view standings as select id from users;
      alter materialized view standings owner to standings_owner;
      grant select on users to standings_owner`)
    const hints = new Set<string | null>()
    for (const line of LINES) {
      const isWorker = line.join(' ') === 'worker'
      const failure = isWorker
        ? await failureOfWorker(role)
        : await failureOf(line, 'PERMISSION_DENIED', role)
      expect(failure.message, line.join(' ')).toContain("ayb's tables belong to app_owner")
      hints.add(failure.hint)
    }
    const [grant] = hints
    expect([...hints]).toEqual([
      'GRANT SELECT, INSERT, UPDATE, DELETE ON public._ayb_job_edges, public._ayb_job_schedules, ' +
        'public._ayb_jobs, ' +
        'public._ayb_matview_policies, public._ayb_matview_refresh_runs, public._ayb_matview_refreshes, ' +
        'public._ayb_matview_states, public._ayb_notices, public._ayb_schedule_policies, public._ayb_schedule_promises, public._ayb_workers TO standings_owner; GRANT SELECT ON public._ayb_cli_migrations TO standings_owner;',
    ])
    await owner.query(grant ?? '')
    for (const line of LINES.filter(([command]) => command !== 'worker')) await documentOf(line, role)
    const {job} = await documentOf<JobDocument>(['schedules', 'run', 'standings'], role)
    const worker = await startWorker(role)
    await worker.waitForLog(({msg, jobId}) => msg === 'refreshed' && jobId === job.id, 'the refresh')
    await stopWorkers([worker])
    await documentOf(['schedules', 'delete', 'standings'], role)
  })

  /** It has no JSON but in its logs. */
  async function failureOfWorker(role: {url: string}): Promise<{message: string; hint: string | null}> {
    const {code, stdout, stderr} = await ayb(['worker'], role)
    expect({code, stdout}).toEqual({code: 7, stdout: ''})
    const [message = '', hint = ''] = stderr.trimEnd().split('\n')
    return {message, hint: hint.replace(/^Hint: /, '')}
  }
})

describe('a role that may use the tables, and not refresh the view', {timeout: 120_000}, () => {
  test('is told the GRANT by a command and by the job of a worker, and with it both work', async () => {
    await root.query(`create role vault_owner login password 'secret';
      grant usage on schema public to vault_owner;
      create materialized view vault as select clock_timestamp() as stamp;
      alter materialized view vault owner to vault_owner`)
    const before = (await root.query('select stamp from vault')).rows
    await documentOf(['matviews', 'register', 'vault'], least)
    const failure = await failureOf(['matviews', 'refresh', 'vault'], 'PERMISSION_DENIED', least)
    expect(failure.message).toBe('this role may not refresh public.vault, which belongs to vault_owner')
    const grant = version >= 170_000 ? 'GRANT MAINTAIN ON public.vault TO ayb;' : 'GRANT vault_owner TO ayb;'
    expect(failure.hint).toBe(`${grant} -- or connect as vault_owner`)

    const create = ['schedules', 'create', '--name', 'vault', '--cron', '@yearly', '--view', 'vault']
    await documentOf(create, least)
    const {job} = await documentOf<JobDocument>(['schedules', 'run', 'vault'], least)
    const worker = await startWorker(least)
    const line = await worker.waitForLog(
      ({jobId, level}) => jobId === job.id && level === 'error',
      'it to fail',
    )
    expect(line).toMatchObject({code: 'PERMISSION_DENIED', attempt: 1, error: failure.message})
    expect((await documentOf<JobDocument>(['jobs', 'show', job.id], least)).job).toMatchObject({
      state: 'failed',
      lastError: failure.message,
    })
    expect((await root.query('select stamp from vault')).rows).toEqual(before)

    // By whom the hint names, where that role can grant it.
    const grantor = version >= 170_000 ? await connect(urlOf('vault_owner', 'secret')) : root
    await grantor.query(failure.hint ?? '')
    const {registration} = await documentOf<RegistrationDocument>(['matviews', 'refresh', 'vault'], least)
    expect(registration.lastRefreshStatus).toBe('success')
    await documentOf(['jobs', 'retry', job.id], least)
    await worker.waitForLog(({msg, jobId}) => msg === 'refreshed' && jobId === job.id, 'the refresh')
    await stopWorkers([worker])
    expect((await root.query('select stamp from vault')).rows).not.toEqual(before)
  })

  test('is told of the schema first, where it may not even look into that', async () => {
    await root.query(`create role cellar_owner login password 'secret';
      create schema cellar authorization cellar_owner;
      create materialized view cellar.wine as select 1 as id;
      alter materialized view cellar.wine owner to cellar_owner`)
    await owner.query(`insert into _ayb_matview_refreshes (schema_name, view_name) values ('cellar', 'wine')`)
    const grantor = version >= 170_000 ? await connect(urlOf('cellar_owner', 'secret')) : root
    const refresh = ['matviews', 'refresh', 'cellar.wine']
    const first = await failureOf(refresh, 'PERMISSION_DENIED', least)
    expect(first.hint).toBe('GRANT USAGE ON SCHEMA cellar TO ayb;')
    await grantor.query(first.hint ?? '')
    const second = await failureOf(refresh, 'PERMISSION_DENIED', least)
    expect(second.hint).toContain(version >= 170_000 ? 'GRANT MAINTAIN ON cellar.wine' : 'GRANT cellar_owner')
    await grantor.query(second.hint ?? '')
    await documentOf(refresh, least)
  })
})

describe('a role that may refresh the view, whose owner lacks something', {timeout: 120_000}, () => {
  test.each([
    ['standard', 'select on workouts', 'GRANT SELECT ON public.workouts TO leaderboard_owner;'],
    ['concurrent', 'temporary on database app', 'GRANT TEMPORARY ON DATABASE app TO leaderboard_owner;'],
  ])('hears so in %s mode by a command and by the job of a worker, at once', async (mode, right, grant) => {
    await root.query('revoke temporary on database app from public')
    await root.query('grant temporary on database app to leaderboard_owner')
    await documentOf(['matviews', 'register', 'leaderboard', '--if-not-exists'], least)
    await documentOf(['matviews', 'update', 'leaderboard', '--mode', mode], least)
    await root.query(`revoke ${right} from leaderboard_owner`)
    const refresh = ['matviews', 'refresh', 'leaderboard']
    const failure = await failureOf(refresh, 'PERMISSION_DENIED', least)
    expect(failure.message).toContain('leaderboard_owner, who owns public.leaderboard and may not')
    expect(failure.hint).toBe(grant)

    const create = ['schedules', 'create', '--name', mode, '--cron', '@yearly', '--view', 'leaderboard']
    await documentOf(create, least)
    const {job} = await documentOf<JobDocument>(['schedules', 'run', mode], least)
    const worker = await startWorker(least)
    const isFailure = ({jobId, level}: LogLine) => jobId === job.id && level === 'error'
    const line = await worker.waitForLog(isFailure, 'it to fail')
    expect(line).toMatchObject({code: 'PERMISSION_DENIED', attempt: 1, error: failure.message})
    await stopWorkers([worker])

    await root.query(failure.hint ?? '')
    await documentOf(refresh, least)
  })
})
