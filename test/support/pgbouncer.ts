import {spawn} from 'node:child_process'
import {chownSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import pg from 'pg'
import {killAtEnd} from './children.ts'
import type {TestDatabase} from './database.ts'
import {freePort} from './free-port.ts'
import {unprivilegedAccount} from './postgres-binaries.ts'
import {until} from './until.ts'

/** A pooler in front of one database. */
export interface PgBouncer {
  /** The database through it, as superuser. */
  url: string
  /** What its own console answers, for example to `show pools`. */
  console(command: string): Promise<Record<string, unknown>[]>
  /** SIGKILL: all its connections end, on both sides. */
  kill(): Promise<void>
  /** Starts it again on the same port, after that. */
  restart(): Promise<void>
}

interface PgBouncerOptions {
  poolMode: 'transaction' | 'session'
  poolSize?: number
  /** Where it finds the server, if not where that listens. */
  server?: {host: string; port: number}
  /** How long a client waits for its turn; 120 s as PgBouncer has it by default. */
  queryWaitTimeoutS?: number
}

/**
 * Starts PgBouncer, which Debian has as `pgbouncer`.
 * @throws Error where it does not listen in time
 */
export async function startPgBouncer(
  db: TestDatabase,
  {poolMode, poolSize = 20, server = db, queryWaitTimeoutS = 120}: PgBouncerOptions,
): Promise<PgBouncer> {
  const folder = mkdtempSync(join(tmpdir(), 'ayb-pgbouncer-'))
  const file = join(folder, 'pgbouncer.ini')
  // PgBouncer refuses to run as root.
  const account = unprivilegedAccount()
  let port = 0
  const configure = () => {
    writeFileSync(
      file,
      `[databases]
${db.name} = host=${server.host} port=${server.port} user=${db.user} password='${db.password}'
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = any
admin_users = ${db.user}
pool_mode = ${poolMode}
default_pool_size = ${poolSize}
max_client_conn = 500
query_wait_timeout = ${queryWaitTimeoutS}
server_reset_query = DISCARD ALL
`,
    )
    if (account) for (const path of [folder, file]) chownSync(path, account.uid, account.gid)
  }
  const urlOf = (database: string) =>
    `postgres://${encodeURIComponent(db.user)}:any@127.0.0.1:${port}/${database}`
  const ask = async (command: string) => {
    const client = new pg.Client({connectionString: urlOf('pgbouncer')})
    client.on('error', () => {})
    await client.connect()
    try {
      return (await client.query(command)).rows as Record<string, unknown>[]
    } finally {
      await client.end()
    }
  }
  const start = async () => {
    const child = spawn('pgbouncer', [file], {
      stdio: ['ignore', 'ignore', 'pipe'],
      ...(account ? {uid: account.uid, gid: account.gid} : {}),
    })
    let log = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      log += text
    })
    const ended = new Promise<void>((resolve) => {
      child.once('error', (error) => {
        log += String(error)
        resolve()
      })
      child.once('exit', () => resolve())
    })
    const forget = killAtEnd(() => child.kill('SIGKILL'))
    // The pooler of another test may have taken the port. That pooler would answer, too.
    const isOurs = async () => {
      if (child.pid === undefined || child.exitCode !== null) throw new Error('pgbouncer has ended')
      const databases = await ask('show databases').catch(() => [])
      return databases.some(({name}) => name === db.name)
    }
    await until(isOurs, {what: 'pgbouncer to listen', timeoutMs: 10_000}).catch((error) => {
      child.kill('SIGKILL')
      forget()
      throw new Error(`${error.message}:\n${log}`)
    })
    return async () => {
      child.kill('SIGKILL')
      await ended
      forget()
    }
  }
  killAtEnd(() => rmSync(folder, {recursive: true, force: true}))
  const startOnFreePort = async () => {
    for (let attempt = 1; ; attempt++) {
      port = await freePort()
      configure()
      try {
        return await start()
      } catch (error) {
        if (attempt === 3) throw error
      }
    }
  }
  let kill = await startOnFreePort()
  return {
    url: urlOf(db.name),
    console: ask,
    kill: () => kill(),
    restart: async () => {
      kill = await start()
    },
  }
}
