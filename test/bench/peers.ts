import {join} from 'node:path'
import type {PostgresServer} from '../support/postgres.ts'
import {LEAD_MS} from './drain.ts'
import {processorTime, usedBetween} from './processor.ts'
import {peersFolder, startProgram} from './programs.ts'
import type {Progress, Rate} from './rates.ts'
import {createBenchDatabase, type Mode} from './server.ts'

/** A job queue that ayb is measured beside: a program under peers/. */
export interface Peer {
  program: 'graphile-worker' | 'pg-boss'
  /** With the settings that make it fast, not those it comes with. */
  isTuned: boolean
}

/**
 * Has a peer do what ayb does in drainWithAyb, from the same instant to the end of the last refresh; where that is
 * past the deadline, as far as it came.
 */
export async function drainWithPeer(
  server: PostgresServer,
  peer: Peer,
  drain: {jobs: number; mode: Mode; slots: number; node: string; deadlineMs: number},
): Promise<Rate & Progress> {
  const {jobs, mode, slots, node, deadlineMs} = drain
  const db = await createBenchDatabase(server, {hasAyb: false})
  const settings = {
    jobs,
    slots,
    deadlineMs,
    views: db.views,
    isTuned: peer.isTuned,
    isConcurrent: mode === 'concurrent',
    leadMs: LEAD_MS,
  }
  const program = startProgram(node, [join(peersFolder, `${peer.program}.mjs`), JSON.stringify(settings)], {
    url: db.url,
  })
  const before = processorTime(server, [program.pid])
  try {
    const [, json = ''] = await program.waitFor(/^result (.+)$/m, deadlineMs + 60_000)
    const {done, elapsedMs} = JSON.parse(json) as {done: number; elapsedMs: number}
    const each = usedBetween(before, processorTime(server, [program.pid]), done)
    return {done, perSecond: (done / elapsedMs) * 1000, each}
  } finally {
    program.kill('SIGKILL')
    await program.ended
    await db.drop()
  }
}
