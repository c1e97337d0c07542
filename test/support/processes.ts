import {spawnSync} from 'node:child_process'
import {readFileSync} from 'node:fs'
import {until} from './until.ts'

export interface ProcessInfo {
  /** Differs between two processes that had the same pid one after the other. */
  startedAt: string
  command: string
}

/** The running process with that pid; undefined where there is none, or only its exit status is left. */
export function inspectProcess(pid: number): ProcessInfo | undefined {
  return process.platform === 'linux' ? fromProc(pid) : fromPs(pid)
}

/** Slim container images have no ps. */
function fromProc(pid: number): ProcessInfo | undefined {
  try {
    const fields = statOf(pid)
    if (isEnded(fields[0])) return undefined
    const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')
    return {startedAt: fields[19] ?? '', command}
  } catch {
    return undefined
  }
}

/**
 * The fields of its line behind the name, which is in parentheses and may itself hold spaces and parentheses.
 */
function statOf(pid: number): string[] {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
}

function fromPs(pid: number): ProcessInfo | undefined {
  const env = {LC_ALL: 'C', TZ: 'UTC'}
  const ps = spawnSync('/bin/ps', ['-o', 'stat=,lstart=,command=', '-p', String(pid)], {
    env,
    encoding: 'utf8',
  })
  const match = /^\s*(\S+)\s+(\w+\s+\w+\s+\d+\s+[\d:]+\s+\d+)\s+(.*)/.exec(ps.stdout ?? '')
  if (!match || isEnded(match[1])) return undefined
  return {startedAt: match[2] ?? '', command: match[3] ?? ''}
}

const isEnded = (state: string | undefined): boolean => /^[ZX]/.test(state ?? '')

/** One letter, as Linux has it: T for one that is stopped. */
const stateOf = (pid: number): string | undefined => statOf(pid)[0]

/**
 * Stops a program where it is, and waits until it has stopped: a signal arrives when it likes. SIGCONT wakes
 * it.
 */
export async function freeze(program: {pid: number; kill(signal: 'SIGSTOP'): void}): Promise<void> {
  program.kill('SIGSTOP')
  await until(() => stateOf(program.pid) === 'T', {
    what: `process ${program.pid} to stop`,
    timeoutMs: 30_000,
  })
}

/** Blocks this thread: handlers of a process that is exiting cannot wait in any other way. */
export function sleepSync(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
}
