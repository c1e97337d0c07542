import {readFileSync} from 'node:fs'

/** The most memory that a process has had so far, in MB of 2²⁰ bytes. Asks Linux. */
export function peakMemory(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const kib = /^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]
  if (kib === undefined) throw new Error(`process ${pid} has no memory`)
  return Number(kib) / 1024
}
