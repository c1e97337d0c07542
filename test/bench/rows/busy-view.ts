import {LowerBounds} from '../../../src/core/worker/lower-bounds.ts'
import {claim, lookAround, withWorkerSession} from '../load/churn.ts'
import type {Measurement, Row} from '../row.ts'
import {createBenchDatabase, startBenchServer} from '../server.ts'
import {describeValues, median} from '../statistics.ts'

const QUEUED = 200_000
const ROUNDS = 50
const SLOTS = 3
const TARGET_MS = 20
const BUSY = ['public.v0']

/** How long the statements of a worker take while it refreshes a view that most of the queue is of. */
export const busyView: Measurement = {
  name: 'busyView',
  isQuick: false,
  async measure(bench) {
    const server = await startBenchServer()
    try {
      const db = await createBenchDatabase(server)
      await db.query(
        `insert into _ayb_jobs (type, payload, run_at)
         select 'materialized_view_refresh', '{"view_name": "v0"}', now() - interval '1 hour' + n * interval '1 us'
           from generate_series(1, $1::int) n`,
        [QUEUED],
      )
      bench.say(`${QUEUED} jobs are queued`)
      return await withWorkerSession(db.url, async (own) => {
        const bounds = new LowerBounds()
        const looks: number[] = []
        const claims: number[] = []
        let firstMs = 0
        for (let round = 0; round < ROUNDS; round++) {
          const startedAt = performance.now()
          let isFull = false
          await bounds.poll(BUSY, (from) => {
            isFull = from.from === null
            return lookAround(own, from, BUSY)
          })
          const lookedAt = performance.now()
          const jobs = await claim(own, SLOTS, bounds.claimsFrom(BUSY), BUSY)
          claims.push(performance.now() - lookedAt)
          if (isFull) firstMs ||= lookedAt - startedAt
          else looks.push(lookedAt - startedAt)
          if (jobs.length > 0) throw new Error(`a claim found ${jobs.length} jobs of a busy view`)
        }
        return [row('survey', looks, firstMs), row('claim', claims, firstMs)]
      })
    } finally {
      await server.stop()
    }
  },
}

const row = (what: string, ours: readonly number[], firstMs: number): Row => ({
  what: `${what} with ${QUEUED} queued jobs of one busy view`,
  beside: 'a survey that reads them all, the first one',
  ours: describeValues(ours, 'ms'),
  theirs: describeValues([firstMs], 'ms'),
  ratio: median(ours) / firstMs,
  target: `at most ${TARGET_MS} ms`,
  isMet: median(ours) <= TARGET_MS,
  note: `median of ${ROUNDS}`,
})
