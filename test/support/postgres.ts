import {type ChildProcess, spawn} from 'node:child_process'
import {randomBytes} from 'node:crypto'
import {once} from 'node:events'
import {appendFileSync, chownSync, closeSync, openSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {createServer} from 'node:net'
import {join} from 'node:path'
import {setTimeout as sleep} from 'node:timers/promises'
import {freePort} from './free-port.ts'
import {type Account, packagedBinDir, runnableBinDir, unprivilegedAccount} from './postgres-binaries.ts'
import {
  createServerFolder,
  readPidFile,
  removeLeavings,
  removeServerFolder,
  sendSignal,
  temporaryBase,
} from './postgres-folder.ts'

const HOST = '127.0.0.1'
const USER = 'postgres'
const START_TIMEOUT_MS = 30_000
const LOG_LINES_SHOWN = 20
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

export interface PostgresOptions {
  /** The folder of initdb and postgres; without it, the build that npm installed. */
  binDir?: string
  /** Writes reach the disk, as in production: for measurements. */
  durable?: boolean
  /** Server settings, for example `{statement_timeout: '1s'}`. */
  settings?: Record<string, string>
}

/** A private PostgreSQL server that ends with this process. */
export interface PostgresServer {
  host: string
  port: number
  /** Local sessions through it need no password. */
  socketDir: string
  /** A superuser. */
  user: string
  password: string
  dataDir: string
  /** A URL of a database, without a name that of `postgres`. */
  url(database?: string): string
  /** Stops the server at once and deletes its folder; may be called twice. */
  stop(): Promise<void>
  /** All that the server has logged so far. */
  log(): string
}

interface Launch {
  folder: string
  dataDir: string
  logFile: string
  account: Account | undefined
  /** What runs now: initdb, then the server. */
  child?: ChildProcess
}

/**
 * Starts a new, empty PostgreSQL server on a free port, in a folder of its own.
 * @throws Error with the last lines of the log where the server does not start
 */
export async function startPostgres(options: PostgresOptions = {}): Promise<PostgresServer> {
  const account = unprivilegedAccount()
  const base = temporaryBase(account)
  removeLeavings(base)
  const folder = createServerFolder(base, account)
  const launch = {folder, dataDir: join(folder, 'data'), logFile: join(folder, 'log'), account}
  track(launch)
  try {
    const binDir = await runnableBinDir(
      options.binDir ?? packagedBinDir(),
      account,
      base,
      join(folder, 'copy'),
    )
    const password = randomBytes(18).toString('base64url')
    await createCluster(launch, binDir, password)
    return describe(launch, await startServer(launch, binDir, options), password)
  } catch (error) {
    discard(launch)
    throw error
  }
}

function describe(launch: Launch, port: number, password: string): PostgresServer {
  return {
    host: HOST,
    port,
    socketDir: join(launch.folder, 'socket'),
    user: USER,
    password,
    dataDir: launch.dataDir,
    url: (database = 'postgres') =>
      `postgres://${USER}:${password}@${HOST}:${port}/${encodeURIComponent(database)}`,
    stop: async () => discard(launch),
    log: () => readFileSync(launch.logFile, 'utf8'),
  }
}

async function createCluster(launch: Launch, binDir: string, password: string): Promise<void> {
  const passwordFile = join(launch.folder, 'password')
  writeFileSync(passwordFile, password, {mode: 0o600})
  if (launch.account) chownSync(passwordFile, launch.account.uid, launch.account.gid)
  const child = run(launch, join(binDir, 'initdb'), [
    `--pgdata=${launch.dataDir}`,
    `--username=${USER}`,
    `--pwfile=${passwordFile}`,
    '--auth-local=trust',
    '--auth-host=scram-sha-256',
    '--encoding=UTF8',
    '--locale=C',
    '--no-sync',
  ])
  const [code] = (await once(child, 'exit')) as [number | null]
  if (code !== 0) throw startFailure(launch, 'initdb failed')
  rmSync(passwordFile)
  rmSync(launch.logFile)
}

/** The port it listens on. */
async function startServer(launch: Launch, binDir: string, options: PostgresOptions): Promise<number> {
  for (let attempt = 1; ; attempt++) {
    const port = await freePort()
    const settings = {...defaultSettings(launch, port, options.durable ?? false), ...options.settings}
    const child = run(launch, join(binDir, 'postgres'), [
      '-D',
      launch.dataDir,
      ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
    ])
    if (await becomesReady(launch, child)) {
      child.unref()
      return port
    }
    // Somebody else can take the port between the choice and the start.
    if (attempt === 3 || (await isFree(port))) throw startFailure(launch, 'PostgreSQL did not start')
  }
}

function defaultSettings(launch: Launch, port: number, durable: boolean): Record<string, string> {
  const unsafe = {fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off'}
  return {
    listen_addresses: HOST,
    port: String(port),
    unix_socket_directories: join(launch.folder, 'socket'),
    max_connections: '200',
    timezone: 'UTC',
    log_timezone: 'UTC',
    ...(durable ? {} : unsafe),
  }
}

async function becomesReady(launch: Launch, child: ChildProcess): Promise<boolean> {
  const deadline = Date.now() + START_TIMEOUT_MS
  while (child.exitCode === null && child.signalCode === null && Date.now() < deadline) {
    if (readPidFile(launch.dataDir)?.isReady) return true
    await sleep(10)
  }
  return false
}

/**
 * Runs a program of PostgreSQL in a session of its own, which a Ctrl-C on this terminal does not reach. Its
 * output goes to a file: a pipe would break, and the server with it, when this process is killed.
 */
function run(launch: Launch, program: string, args: string[]): ChildProcess {
  const log = openSync(launch.logFile, 'a')
  try {
    launch.child = spawn(program, args, {
      ...launch.account,
      cwd: '/',
      env: {PATH: process.env.PATH ?? '/usr/bin:/bin', LC_ALL: 'C'},
      stdio: ['ignore', log, log],
      detached: true,
    })
    launch.child.once('error', (error) => appendFileSync(launch.logFile, `${error.message}\n`))
    return launch.child
  } finally {
    closeSync(log)
  }
}

function startFailure(launch: Launch, what: string): Error {
  const lines = readFileSync(launch.logFile, 'utf8').trimEnd().split('\n')
  return new Error([`${what}:`, ...lines.slice(-LOG_LINES_SHOWN)].join('\n'))
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer().listen(port, HOST)
  try {
    await once(server, 'listening')
    return true
  } catch {
    return false
  } finally {
    server.close()
  }
}

const launches = new Set<Launch>()

function track(launch: Launch): void {
  if (launches.size === 0) {
    process.on('exit', discardAll)
    // Before others: one that listens only once is gone from the list when it is called.
    for (const signal of SIGNALS) process.prependListener(signal, onSignal)
  }
  launches.add(launch)
}

function discard(launch: Launch): void {
  if (!launches.delete(launch)) return
  // As long as there is no pid file, that is initdb with its helpers, or a server that has not begun.
  const {child} = launch
  const isBeginning = readPidFile(launch.dataDir) === undefined
  if (isBeginning && child?.pid !== undefined && child.exitCode === null) sendSignal(-child.pid, 'SIGKILL')
  removeServerFolder(launch.folder)
  if (launches.size > 0) return
  process.off('exit', discardAll)
  for (const signal of SIGNALS) process.off(signal, onSignal)
}

function discardAll(): void {
  for (const launch of launches) discard(launch)
}

/** A program that listens too decides itself when it exits; one that does not is ended by the signal. */
function onSignal(signal: NodeJS.Signals): void {
  if (process.listenerCount(signal) > 1) return
  discardAll()
  process.kill(process.pid, signal)
}
