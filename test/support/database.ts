import {randomBytes} from 'node:crypto'
import pg from 'pg'
import {afterAll, inject} from 'vitest'

export interface TestDatabase {
  /** As superuser, over TCP. */
  url: string
  name: string
  host: string
  port: number
  /** Null on a server that the run did not start itself. */
  socketDir: string | null
  user: string
  password: string
  /** Runs one statement as superuser; each may get another session. */
  query<Row extends pg.QueryResultRow>(sql: string, params?: unknown[]): Promise<Row[]>
  /** A session of its own as superuser, closed with the database. */
  connect(): Promise<pg.Client>
  /** A role that may log in, dropped with the database. */
  createRole(suffix: string, options?: RoleOptions): Promise<{name: string; url: string; password: string}>
  /**
   * Ends all sessions and drops the database and its roles; done at the end of the test file at the latest.
   */
  drop(): Promise<void>
}

interface RoleOptions {
  /** Random without it. */
  password?: string
  /** As in `create role`, for example `nosuperuser createdb`. */
  attributes?: string
  /** Defaults of its sessions, for example `{statement_timeout: '1s', search_path: ['app', 'public']}`. */
  settings?: Record<string, string | string[]>
}

const open = new Set<TestDatabase>()

afterAll(async () => {
  for (const database of open) await database.drop()
})

interface DatabaseOptions {
  /** False for an empty one. */
  template?: boolean
  /** Whether the copy of the example has ayb's tables. */
  hasTables?: boolean
  /** As in `create database`, for an empty one; UTF8 without it. */
  encoding?: 'LATIN1' | 'SQL_ASCII'
}

/** A new database: a copy of the example, or an empty one. */
export async function createTestDatabase(options: DatabaseOptions = {}): Promise<TestDatabase> {
  const {encoding, template = encoding === undefined, hasTables = false} = options
  const server = inject('server')
  const name = uniqueName(server.prefix, 'db')
  // Nobody can connect to either source, so any number of copies can be made at once.
  const example = hasTables ? server.templateWithTables : server.template
  const source = template ? example : 'template0'
  const encoded = encoding ? ` encoding ${encoding} lc_collate 'C' lc_ctype 'C'` : ''
  await administer((admin) => admin.query(`create database ${name} template ${source}${encoded}`))
  const url = new URL(server.adminUrl)
  url.pathname = `/${name}`
  const database = describe(url, name, server.socketDir)
  open.add(database)
  return database
}

function describe(url: URL, name: string, socketDir: string | null): TestDatabase {
  const {prefix} = inject('server')
  const pool = new pg.Pool({connectionString: url.href, max: 4})
  const clients: pg.Client[] = []
  const roles: string[] = []
  // Dropping the database ends the sessions, which each of them reports.
  pool.on('error', () => {})
  pool.on('connect', (client) => client.on('error', () => {}))
  const database: TestDatabase = {
    url: url.href,
    name,
    host: url.hostname,
    port: Number(url.port || 5432),
    socketDir,
    user: decodeURIComponent(url.username),
    password: decodeURIComponent(url.password),
    async query<Row extends pg.QueryResultRow>(sql: string, params: unknown[] = []): Promise<Row[]> {
      return (await pool.query<Row>(sql, params)).rows
    },
    async connect() {
      const client = new pg.Client({connectionString: url.href})
      client.on('error', () => {})
      clients.push(client)
      await client.connect()
      return client
    },
    async createRole(suffix, options = {}) {
      const role = uniqueName(prefix, suffix)
      const password = options.password ?? randomBytes(9).toString('base64url')
      await administer((admin) => createRole(admin, role, password, options))
      roles.push(role)
      const roleUrl = new URL(url)
      roleUrl.username = role
      roleUrl.password = encodeURIComponent(password)
      return {name: role, url: roleUrl.href, password}
    },
    async drop() {
      if (!open.delete(database)) return
      await administer((admin) => admin.query(`drop database if exists ${name} with (force)`))
      await Promise.all([pool.end(), ...clients.map((client) => client.end())])
      if (roles.length > 0) await administer((admin) => admin.query(`drop role ${roles.join(', ')}`))
    },
  }
  return database
}

/** Letters, digits and underscores, so that it needs no quotes in SQL. */
function uniqueName(prefix: string, suffix: string): string {
  if (!/^[a-z0-9_]{1,30}$/.test(suffix)) throw new Error(`${suffix} is not a plain name`)
  return `${prefix}${suffix}_${randomBytes(4).toString('hex')}`
}

async function createRole(
  admin: pg.Client,
  role: string,
  password: string,
  {attributes = '', settings = {}}: RoleOptions,
): Promise<void> {
  await admin.query(`create role ${role} login password ${pg.escapeLiteral(password)} ${attributes}`)
  for (const [setting, value] of Object.entries(settings)) {
    const literals = [value].flat().map(pg.escapeLiteral).join(', ')
    await admin.query(`alter role ${role} set ${pg.escapeIdentifier(setting)} = ${literals}`)
  }
}

async function administer(work: (admin: pg.Client) => Promise<unknown>): Promise<void> {
  const admin = new pg.Client({connectionString: inject('server').adminUrl})
  await admin.connect()
  try {
    await work(admin)
  } finally {
    await admin.end()
  }
}
