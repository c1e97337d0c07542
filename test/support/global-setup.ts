import {spawnSync} from 'node:child_process'
import {randomBytes} from 'node:crypto'
import {dirname, join} from 'node:path'
import {fileURLToPath} from 'node:url'
import pg from 'pg'
import type {TestProject} from 'vitest/node'
import {ensureBuilt} from './build.ts'
import {startPostgres} from './postgres.ts'
import {fillTemplate} from './template.ts'

const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))))

/** What test files know of the server of this run. */
export interface TestServer {
  /** A superuser, and a database that no test changes. */
  adminUrl: string
  /** Null where only the server's address is known. */
  socketDir: string | null
  /** All databases and roles of the run begin with it. */
  prefix: string
  template: string
  /** A copy of the template with ayb's tables; the template itself where ayb could not be built. */
  templateWithTables: string
}

declare module 'vitest' {
  export interface ProvidedContext {
    server: TestServer
    root: string
    /** What the build printed where it failed: then only the tests that run the program fail. */
    buildFailure: string | null
  }
}

/** One server and one build for all test files of a run; returns what takes them away. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const [{adminUrl, socketDir, stop}, buildFailure] = await Promise.all([openServer(), ensureBuilt(ROOT)])
  const admin = new pg.Client({connectionString: adminUrl})
  // The server can go first when the run is interrupted.
  admin.on('error', () => {})
  await admin.connect()
  await tellVersions(admin)
  const run = randomBytes(4).toString('hex')
  const prefix = `ayb_test_${run}_`
  const template = `ayb_test_template_${run}`
  await claimRun(admin, run)
  await removeDeadRuns(admin)
  await createTemplate(admin, adminUrl, template)
  const templateWithTables = buildFailure === null ? `${template}_tables` : template
  if (buildFailure === null) await createTemplateWithTables(admin, adminUrl, template, templateWithTables)
  project.provide('server', {adminUrl, socketDir, prefix, template, templateWithTables})
  project.provide('root', ROOT)
  project.provide('buildFailure', buildFailure)
  return async () => {
    await removeRun(admin, run)
    await admin.end()
    await stop()
  }
}

async function openServer(): Promise<{
  adminUrl: string
  socketDir: string | null
  stop: () => Promise<void>
}> {
  const adminUrl = process.env.TEST_DATABASE_URL
  if (adminUrl) return {adminUrl, socketDir: null, stop: async () => {}}
  const {url, socketDir, stop} = await startPostgres()
  return {adminUrl: url(), socketDir, stop}
}

/** The version matrix makes sure of them. */
async function tellVersions(admin: pg.Client): Promise<void> {
  const {rows} = await admin.query('show server_version')
  const [version] = rows[0].server_version.split(' ')
  process.stdout.write(`tests run on PostgreSQL ${version} and Node.js ${process.version}\n`)
}

async function createTemplate(admin: pg.Client, adminUrl: string, template: string): Promise<void> {
  await admin.query(`create database ${template} template template0 encoding 'UTF8' locale 'C'`)
  const url = new URL(adminUrl)
  url.pathname = `/${template}`
  const client = new pg.Client({connectionString: url.href})
  await client.connect()
  await fillTemplate(client)
  await client.end()
  // A database can be cloned only while nobody is connected to it.
  await admin.query(`alter database ${template} allow_connections false`)
}

async function createTemplateWithTables(
  admin: pg.Client,
  adminUrl: string,
  template: string,
  name: string,
): Promise<void> {
  await admin.query(`create database ${name} template ${template}`)
  const url = new URL(adminUrl)
  url.pathname = `/${name}`
  const program = join(ROOT, 'bin', 'run.js')
  const env = {PATH: process.env.PATH, DATABASE_URL: url.href}
  const {status, stderr} = spawnSync(process.execPath, [program, 'migrate'], {env, encoding: 'utf8'})
  if (status !== 0) throw new Error(`ayb migrate failed in the template: ${stderr}`)
  await admin.query(`alter database ${name} allow_connections false`)
}

/** Held as long as the run's process lives: how another run on the same server tells a dead one. */
const claimRun = (admin: pg.Client, run: string) =>
  admin.query('select pg_advisory_lock(hashtextextended($1, 0))', [run])

async function removeDeadRuns(admin: pg.Client): Promise<void> {
  const {rows} = await admin.query<{run: string}>(
    `select distinct substring(name from '^ayb_test_(?:template_)?([0-9a-f]{8})(?:_|$)') as run
       from (select datname from pg_database union all select rolname from pg_roles) as names (name)
      where name ~ '^ayb_test_(template_)?[0-9a-f]{8}(_|$)'`,
  )
  for (const {run} of rows) {
    const lock = await admin.query<{free: boolean}>(
      'select pg_try_advisory_lock(hashtextextended($1, 0)) as free',
      [run],
    )
    if (lock.rows[0]?.free) await removeRun(admin, run)
  }
}

/** Drops the databases first: a role that owns something cannot be dropped. */
async function removeRun(admin: pg.Client, run: string): Promise<void> {
  const pattern = `^ayb_test_(template_)?${run}(_|$)`
  const databases = await admin.query<{name: string}>(
    `select format('%I', datname) as name from pg_database where datname ~ $1`,
    [pattern],
  )
  for (const {name} of databases.rows) await admin.query(`drop database if exists ${name} with (force)`)
  const roles = await admin.query<{name: string}>(
    `select format('%I', rolname) as name from pg_roles where rolname ~ $1`,
    [pattern],
  )
  if (roles.rows.length > 0) await admin.query(`drop role ${roles.rows.map(({name}) => name).join(', ')}`)
  await admin.query('select pg_advisory_unlock(hashtextextended($1, 0))', [run])
}
