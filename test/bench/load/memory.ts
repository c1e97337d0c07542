import {readFile} from 'node:fs/promises'

/** The resident memory of a process, in MB of 10⁶ bytes. Asks Linux. */
export async function residentMb(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  const kib = /^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]
  if (kib === undefined) throw new Error(`process ${pid} has no resident memory`)
  return (Number(kib) * 1024) / 1e6
}
