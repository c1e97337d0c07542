import {readdirSync, readFileSync} from 'node:fs'
import {join} from 'node:path'
import type {PostgresServer} from '../support/postgres.ts'

/** A tick of the kernel's accounts, as all of Linux has it: a hundredth of a second. */
const TICK_MS = 10

/** Processor time of a server and of its client, in milliseconds. */
export interface ProcessorTime {
  serverMs: number
  clientMs: number
}

/** The programs whose processor time is meant: by their ids, or all that this process has started and that ended. */
type Clients = readonly number[] | 'ended'

/** What server and client have used so far; null where the kernel does not tell. */
function processorTime(server: Pick<PostgresServer, 'dataDir'>, clients: Clients): ProcessorTime | null {
  const statOf = statReader()
  if (statOf === null) return null
  const postmaster = Number(readFileSync(join(server.dataDir, 'postmaster.pid'), 'utf8').split('\n')[0])
  const backends = readdirSync('/proc').filter((name) => statOf(name)?.parent === postmaster)
  const usedBy = (pids: readonly (string | number)[]) =>
    pids.reduce<number>((sum, pid) => sum + (statOf(String(pid))?.usedMs ?? 0), 0)
  return {
    serverMs: usedBy([postmaster, ...backends]) + (statOf(String(postmaster))?.childrenMs ?? 0),
    clientMs: clients === 'ended' ? (statOf(String(process.pid))?.childrenMs ?? 0) : usedBy(clients),
  }
}

/**
 * Reads now what server and client have used so far. The answer tells what they have used since, each of so
 * many times. Begin when all is set up and queued: what comes before is no part of a refresh, whoever does
 * it.
 */
export function startMeter(
  server: Pick<PostgresServer, 'dataDir'>,
  clients: Clients,
): (times: number) => ProcessorTime | null {
  const before = processorTime(server, clients)
  return (times) => usedBetween(before, processorTime(server, clients), times)
}

/** Of two readings, what was used in between, each of so many times. */
const usedBetween = (
  before: ProcessorTime | null,
  after: ProcessorTime | null,
  times: number,
): ProcessorTime | null =>
  before &&
  after && {
    serverMs: (after.serverMs - before.serverMs) / times,
    clientMs: (after.clientMs - before.clientMs) / times,
  }

/** See proc_pid_stat(5). */
function statReader() {
  if (process.platform !== 'linux') return null
  return (pid: string) => {
    if (!/^\d+$/.test(pid)) return null
    try {
      const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
      // The name of the program, in parentheses, may hold anything.
      const fields = text
        .slice(text.lastIndexOf(')') + 2)
        .split(' ')
        .map(Number)
      const [parent = 0, used, system, children, childrenSystem] = [1, 11, 12, 13, 14].map(
        (n) => fields[n] ?? 0,
      )
      return {
        parent,
        usedMs: ((used ?? 0) + (system ?? 0)) * TICK_MS,
        childrenMs: ((children ?? 0) + (childrenSystem ?? 0)) * TICK_MS,
      }
    } catch {
      // It has ended since.
      return null
    }
  }
}

/**
 * What a virtual machine wanted of its processors and its host gave to others since the first call, from 0 to
 * 1.
 */
export function watchStolen(): () => number {
  const before = accounts()
  return () => {
    const after = accounts()
    if (before === null || after === null) return 0
    const total = after.total - before.total
    return total === 0 ? 0 : (after.stolen - before.stolen) / total
  }
}

/** See proc_stat(5): user, nice, system, idle, iowait, irq, softirq, steal. */
function accounts(): {total: number; stolen: number} | null {
  if (process.platform !== 'linux') return null
  const [line = ''] = readFileSync('/proc/stat', 'utf8').split('\n')
  const fields = line.trim().split(/\s+/).slice(1, 9).map(Number)
  return {total: fields.reduce((sum, value) => sum + value, 0), stolen: fields[7] ?? 0}
}
