import {join} from 'node:path'
import {setTimeout as sleep} from 'node:timers/promises'
import type {PostgresServer} from '../support/postgres.ts'
import {LEAD_MS} from './load/drain.ts'
import {startMeter} from './processor.ts'
import {peersFolder, rivalsFolder, startProgram} from './programs.ts'
import type {Progress, Rate} from './rates.ts'
import {type BenchDatabase, createBenchDatabase, type Mode, untilAlmost} from './server.ts'

/** Until it is up, and its jobs are in the database. */
const READY_WITHIN_MS = 60_000
/** It tells of the last refresh; that the job is done, it writes to the database after that. */
const SETTLING_MS = 200

/** A job queue that ayb is measured beside. */
export interface Peer {
  program: 'graphile-worker' | 'pg-boss'
  /** With the settings that make it fast, not those it comes with. */
  isTuned: boolean
  /** Whether the program is that under rivals/, with the same work as ayb; that under peers/ runs REFRESH alone. */
  hasSameWork?: boolean
}

/**
 * Has a peer do what ayb does in drainWithAyb, from the same instant to the end of the last refresh; where
 * that is past the deadline, as far as it came. Its start and the insertion of its jobs are over by then, as
 * they are for ayb.
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
  const folder = peer.hasSameWork ? rivalsFolder : peersFolder
  const args = [join(folder, `${peer.program}.mjs`), JSON.stringify(settings)]
  const program = startProgram(node, args, {url: db.url})
  try {
    const [, dueAt] = await program.waitFor(/^ready, due at (\d+)$/m, READY_WITHIN_MS)
    await untilAlmost(db, Number(dueAt))
    const usedSince = startMeter(server, [program.pid])
    const [, json = ''] = await program.waitFor(/^result (.+)$/m, deadlineMs + 60_000)
    await sleep(SETTLING_MS)
    const {done, elapsedMs} = JSON.parse(json) as {done: number; elapsedMs: number}
    const each = usedSince(done)
    if (peer.hasSameWork) await checkHistory(db, done)
    return {done, perSecond: (done / elapsedMs) * 1000, each}
  } finally {
    program.kill('SIGKILL')
    await program.ended
    await db.drop()
  }
}

/** @throws Error where the history lacks a refresh */
async function checkHistory(db: BenchDatabase, done: number): Promise<void> {
  const [row] = await db.query<{runs: number}>(
    `select count(*)::int as runs from refresh_history where status = 'success'`,
  )
  if (!row || row.runs < done) throw new Error(`the history has ${row?.runs} of ${done} refreshes`)
}
