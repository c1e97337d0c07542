import {execFile, spawn} from 'node:child_process'
import {
  appendFileSync,
  chownSync,
  closeSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import {dirname, join} from 'node:path'
import {promisify} from 'node:util'
import pg from 'pg'
import {freePort} from './free-port.ts'
import type {PostgresServer} from './postgres.ts'
import {unprivilegedAccount} from './postgres-binaries.ts'
import {
  createServerFolder,
  readPidFile,
  removeServerFolder,
  sendSignal,
  temporaryBase,
} from './postgres-folder.ts'
import {inspectProcess} from './processes.ts'
import {until} from './until.ts'

const TIMEOUT_MS = 60_000
const LOG_LINES_SHOWN = 20

interface CommandLine {
  program: string
  args: string[]
}

/**
 * Starts a hot standby that follows the server, on a port of its own, from a copy of the server's files. Its
 * settings are the server's, but for those given.
 * @throws Error with the last lines of the log where it does not start
 */
export async function startStandby(
  primary: PostgresServer,
  settings: Record<string, string> = {},
): Promise<PostgresServer> {
  const account = unprivilegedAccount()
  const folder = createServerFolder(temporaryBase(account), account)
  const remove = () => removeServerFolder(folder)
  process.once('exit', remove)
  const stop = async () => {
    process.off('exit', remove)
    remove()
  }
  try {
    const dataDir = join(folder, 'data')
    await copyFiles(primary, dataDir)
    const port = await freePort()
    const {program, args} = commandLineOf(primary.dataDir)
    const own = {
      port: String(port),
      unix_socket_directories: join(folder, 'socket'),
      primary_conninfo: conninfoOf(primary),
      ...settings,
    }
    await launch(dataDir, {
      program,
      // The last one of a name counts.
      args: [
        ...args.map((arg) => (arg === primary.dataDir ? dataDir : arg)),
        ...Object.entries(own).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
      ],
    })
    return {
      ...primary,
      port,
      dataDir,
      socketDir: join(folder, 'socket'),
      url: (database) => {
        const url = new URL(primary.url(database))
        url.port = String(port)
        return url.href
      },
      stop,
      log: () => readFileSync(join(folder, 'log'), 'utf8'),
    }
  } catch (error) {
    await stop()
    throw error
  }
}

/** Waits until a standby has all that its primary has written so far. */
export async function untilCaughtUp(standby: PostgresServer, primary: PostgresServer): Promise<void> {
  // A mark behind it all: at the beginning of a page, the place to write next is past what there is to
  // replay.
  const [row] = await ask<{lsn: string}>(
    primary,
    `select pg_logical_emit_message(false, 'mark', '')::text as lsn`,
  )
  await until(
    async () => {
      const [seen] = await ask<{is_there: boolean}>(
        standby,
        'select pg_last_wal_replay_lsn() >= $1::pg_lsn as is_there',
        [row?.lsn],
      )
      return seen?.is_there
    },
    {what: 'the standby to catch up', timeoutMs: TIMEOUT_MS},
  )
}

/** Runs one statement as superuser on a session of its own. */
export async function ask<Row extends pg.QueryResultRow>(
  server: PostgresServer,
  sql: string,
  values: unknown[] = [],
): Promise<Row[]> {
  const client = new pg.Client({connectionString: server.url()})
  client.on('error', () => {})
  await client.connect()
  try {
    return (await client.query<Row>(sql, values)).rows
  } finally {
    await client.end()
  }
}

/**
 * Stops a server as a crash would, without a checkpoint, and starts it again just as it was started. Returns
 * the pids of both.
 */
export const crashAndRestart = (server: PostgresServer) => restart(server, 'SIGQUIT')

/** Stops a server in good order, and starts it again just as it was started. */
export const stopAndRestart = (server: PostgresServer) => restart(server, 'SIGINT')

/** Stops a server in good order. */
export const stopInOrder = ({dataDir}: PostgresServer): Promise<number> => stopWith(dataDir, 'SIGINT')

/** Starts a server again that was stopped in good order, as a standby of the one that took its place. */
export async function rejoinAsStandby({dataDir}: PostgresServer, primary: PostgresServer): Promise<void> {
  const {uid, gid} = statSync(dataDir)
  const signalFile = join(dataDir, 'standby.signal')
  writeFileSync(signalFile, '', {mode: 0o600})
  chownSync(signalFile, uid, gid)
  appendFileSync(join(dataDir, 'postgresql.auto.conf'), `primary_conninfo = '${conninfoOf(primary)}'\n`)
  await launch(dataDir, commandLineOf(dataDir))
}

const conninfoOf = ({host, port, user, password}: PostgresServer): string =>
  `host=${host} port=${port} user=${user} password=${password}`

async function restart(
  {dataDir}: PostgresServer,
  signal: 'SIGQUIT' | 'SIGINT',
): Promise<{before: number; after: number}> {
  const before = await stopWith(dataDir, signal)
  return {before, after: await launch(dataDir, commandLineOf(dataDir))}
}

/** Returns the pid that the server had. */
async function stopWith(dataDir: string, signal: 'SIGQUIT' | 'SIGINT'): Promise<number> {
  const pid = readPidFile(dataDir)?.pid
  if (pid === undefined) throw new Error(`no server runs in ${dataDir}`)
  sendSignal(pid, signal)
  await until(() => inspectProcess(pid) === undefined, {
    what: 'the server to stop',
    timeoutMs: TIMEOUT_MS,
  })
  return pid
}

/** Copies a running server's files, and says in the copy that it is a standby's. */
async function copyFiles(primary: PostgresServer, dataDir: string): Promise<void> {
  const client = new pg.Client({connectionString: primary.url()})
  await client.connect()
  try {
    const {rows} = await client.query(`select current_setting('server_version_num')::int as version`)
    const [begin, end] =
      rows[0].version >= 150_000
        ? [`select pg_backup_start('standby', true)`, 'select labelfile from pg_backup_stop(false)']
        : [
            `select pg_start_backup('standby', true, false)`,
            'select labelfile from pg_stop_backup(false, false)',
          ]
    await client.query(begin)
    await promisify(execFile)('cp', ['-a', `${primary.dataDir}/.`, dataDir])
    const label = (await client.query(end)).rows[0].labelfile
    for (const name of ['postmaster.pid', 'postmaster.opts']) rmSync(join(dataDir, name), {force: true})
    const {uid, gid} = statSync(dataDir)
    for (const [name, text] of [
      ['backup_label', label],
      ['standby.signal', ''],
    ]) {
      writeFileSync(join(dataDir, name), text, {mode: 0o600})
      chownSync(join(dataDir, name), uid, gid)
    }
  } finally {
    await client.end()
  }
}

/** As the server wrote it down when it was last started: each argument in double quotes. */
function commandLineOf(dataDir: string): CommandLine {
  const text = readFileSync(join(dataDir, 'postmaster.opts'), 'utf8').trimEnd()
  const program = text.replace(/ ".*/s, '')
  const args = [...text.slice(program.length).matchAll(/"([^"]*)"/g)].map(([, arg]) => arg ?? '')
  return {program, args}
}

/** Returns the server's pid once it takes connections. What it logs goes where startPostgres has it. */
async function launch(dataDir: string, {program, args}: CommandLine): Promise<number> {
  const logFile = join(dirname(dataDir), 'log')
  const log = openSync(logFile, 'a')
  const child = spawn(program, args, {
    ...unprivilegedAccount(),
    cwd: '/',
    env: {PATH: process.env.PATH ?? '/usr/bin:/bin', LC_ALL: 'C'},
    stdio: ['ignore', log, log],
    detached: true,
  })
  closeSync(log)
  child.unref()
  return until(
    () => {
      if (child.exitCode !== null || child.signalCode !== null) {
        const lines = readFileSync(logFile, 'utf8').trimEnd().split('\n')
        throw new Error(['PostgreSQL did not start:', ...lines.slice(-LOG_LINES_SHOWN)].join('\n'))
      }
      const found = readPidFile(dataDir)
      // One that crashed may have left its own file.
      return found?.isReady && found.pid === child.pid && found.pid
    },
    {what: 'PostgreSQL to start', timeoutMs: TIMEOUT_MS},
  )
}
