import {spawnSync} from 'node:child_process'
import {readFileSync} from 'node:fs'

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
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The second field is the name in parentheses, which may itself hold spaces and parentheses.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    if (isEnded(fields[0])) return undefined
    const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')
    return {startedAt: fields[19] ?? '', command}
  } catch {
    return undefined
  }
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

/** Blocks this thread: handlers of a process that is exiting cannot wait in any other way. */
export function sleepSync(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
}
