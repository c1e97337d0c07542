import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {type Account, isOpenToAll} from './postgres-binaries.ts'
import {inspectProcess, sleepSync} from './processes.ts'

/** A Unix socket's path may have about 100 bytes; ours adds up to 55 to that of the folder. */
const MAX_BASE_LENGTH = 48
const STOP_TIMEOUT_MS = 5000
/** An owner file is written milliseconds after its folder is made. */
const OWNERLESS_AGE_MS = 60_000

interface Owner {
  pid: number
  startedAt: string
  /** Pids mean nothing in another container that shares the folder. */
  namespace: string
}

/**
 * The folder for temporary folders: the system's, unless the account cannot enter it or sockets do not fit.
 */
export function temporaryBase(account: Account | undefined): string {
  const base = tmpdir()
  return base.length <= MAX_BASE_LENGTH && (!account || isOpenToAll(base)) ? base : '/tmp'
}

/** Makes the folder of one server, which says whose it is. */
export function createServerFolder(base: string, account: Account | undefined): string {
  const folder = mkdtempSync(join(base, `ayb-postgres-${process.pid}-`))
  writeFileSync(join(folder, 'owner.json'), JSON.stringify(currentOwner()))
  for (const name of ['data', 'socket']) {
    mkdirSync(join(folder, name), {mode: 0o700})
    if (account) chownSync(join(folder, name), account.uid, account.gid)
  }
  if (account) chmodSync(folder, 0o711)
  return folder
}

/** The pid file that a server keeps: whose it is, and whether it takes connections. */
export function readPidFile(dataDir: string): {pid: number; isReady: boolean} | undefined {
  try {
    const lines = readFileSync(join(dataDir, 'postmaster.pid'), 'utf8').split('\n')
    const pid = Number(lines[0])
    // initdb's helpers write theirs below zero.
    return pid > 0 ? {pid, isReady: lines[7]?.trim() === 'ready'} : undefined
  } catch {
    return undefined
  }
}

/** Stops the server of a folder at once and deletes the folder; blocks until both are done. */
export function removeServerFolder(folder: string): void {
  const dataDir = join(folder, 'data')
  const pid = readPidFile(dataDir)?.pid
  // The pid may be another process's by now.
  const isRunning = () => pid !== undefined && inspectProcess(pid)?.command.includes(dataDir) === true
  const deadline = Date.now() + STOP_TIMEOUT_MS
  for (let signal: NodeJS.Signals | 0 = 'SIGQUIT'; pid !== undefined && isRunning(); sleepSync(10)) {
    sendSignal(pid, signal)
    signal = Date.now() < deadline ? 0 : 'SIGKILL'
  }
  rmSync(folder, {recursive: true, force: true, maxRetries: 5, retryDelay: 50})
}

/** Sends a signal to a process or, below zero, a group; one that is gone is no failure. */
export function sendSignal(pid: number, signal: NodeJS.Signals | 0): void {
  try {
    process.kill(pid, signal)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

/** Removes the servers and folders of runs that were killed before they could. */
export function removeLeavings(base: string): void {
  for (const name of readdirSync(base)) {
    const pid = /^ayb-postgres-(\d+)-/.exec(name)?.[1]
    if (pid === undefined) continue
    try {
      const folder = join(base, name)
      if (isAbandoned(folder, Number(pid))) removeServerFolder(folder)
    } catch {
      // Another run may be removing it too; what is left is for the next start.
    }
  }
}

function isAbandoned(folder: string, pid: number): boolean {
  const stats = lstatSync(folder)
  if (!stats.isDirectory() || stats.uid !== process.getuid?.()) return false
  let owner: Owner
  try {
    owner = JSON.parse(readFileSync(join(folder, 'owner.json'), 'utf8')) as Owner
  } catch {
    return Date.now() - stats.mtimeMs > OWNERLESS_AGE_MS && inspectProcess(pid) === undefined
  }
  return owner.namespace === pidNamespace() && inspectProcess(owner.pid)?.startedAt !== owner.startedAt
}

function currentOwner(): Owner {
  const startedAt = inspectProcess(process.pid)?.startedAt
  if (startedAt === undefined) throw new Error('cannot tell when this process started')
  return {pid: process.pid, startedAt, namespace: pidNamespace()}
}

function pidNamespace(): string {
  return process.platform === 'linux' ? readlinkSync('/proc/self/ns/pid') : ''
}
