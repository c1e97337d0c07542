import {setTimeout as sleep} from 'node:timers/promises'
import {queueJobs} from '../load/churn.ts'
import {residentMb} from '../load/memory.ts'
import type {Measurement, Row} from '../row.ts'
import {
  type BenchDatabase,
  type BenchWorker,
  createBenchDatabase,
  startBenchServer,
  startBenchWorker,
} from '../server.ts'
import {median} from '../statistics.ts'

const JOBS = 20_000
const SLOTS = 4
/** By then all code is loaded and compiled, and every session is open. */
const SETTLED_AT = 2000
const SAMPLE_MS = 250
const TARGET_RATIO = 1.1
const DEADLINE_MS = 900_000
const MONITOR = new URL('../load/heap-monitor.mjs', import.meta.url).href

interface Sample {
  jobs: number
  mb: number
}

/** What a worker held after the first jobs, from then on, and after the last; MB. */
interface Course {
  samples: readonly Sample[]
  firstHeap: number
  lastHeap: number
}

/** Whether the memory of a worker grows with the jobs that it has done. */
export const memory: Measurement = {
  name: 'memory',
  isQuick: false,
  async measure(bench) {
    const server = await startBenchServer()
    try {
      const db = await createBenchDatabase(server)
      await queueJobs(db, JOBS)
      await db.query('vacuum analyze _ayb_jobs')
      const {samples, firstHeap, lastHeap} = await observeWorker(db)
      bench.say(`${levelsOf(samples).join(', ')} MB`)
      return [residentRow(samples), heapRow(firstHeap, lastHeap)]
    } finally {
      await server.stop()
    }
  },
}

/** V8 makes room when it sees fit, once or twice in this time: the highest of the first quarter has that. */
function residentRow(samples: readonly Sample[]): Row {
  const quarter = Math.ceil(samples.length / 4)
  const first = Math.max(...samples.slice(0, quarter).map(({mb}) => mb))
  const last = median(samples.slice(-quarter).map(({mb}) => mb))
  const perThousand = slope(samples) * 1000
  return {
    what: `resident memory, last quarter of ${JOBS} jobs`,
    beside: `the highest of the first quarter, after ${SETTLED_AT}`,
    ours: `${last.toFixed(1)} MB`,
    theirs: `${first.toFixed(1)} MB`,
    ratio: last / first,
    target: `at most ${TARGET_RATIO}`,
    isMet: last / first <= TARGET_RATIO,
    note: `at every ${SETTLED_AT} jobs ${levelsOf(samples).join(', ')} MB; least squares: ${perThousand.toFixed(2)} MB per 1,000 jobs`,
  }
}

const heapRow = (first: number, last: number): Row => ({
  what: `heap in use after ${JOBS} jobs`,
  beside: `after ${SETTLED_AT}`,
  ours: `${last.toFixed(2)} MB`,
  theirs: `${first.toFixed(2)} MB`,
  ratio: last / first,
  target: `at most ${TARGET_RATIO}`,
  isMet: last / first <= TARGET_RATIO,
  note: 'right after a collection of garbage: what is never given back shows here',
})

async function observeWorker(db: BenchDatabase): Promise<Course> {
  const worker = await startBenchWorker(db, {slots: SLOTS, env: {NODE_OPTIONS: `--import=${MONITOR}`}})
  const deadline = performance.now() + DEADLINE_MS
  while ((await completedJobs(db)) < SETTLED_AT) await pause(deadline)
  const firstHeap = await heapOf(worker)
  const samples: Sample[] = []
  while (samples.at(-1)?.jobs !== JOBS) {
    await pause(deadline)
    samples.push({jobs: await completedJobs(db), mb: await residentMb(worker.pid)})
  }
  const lastHeap = await heapOf(worker)
  await worker.stop()
  return {samples, firstHeap, lastHeap}
}

async function pause(deadline: number): Promise<void> {
  if (performance.now() > deadline) throw new Error(`${JOBS} jobs took more than ${DEADLINE_MS} ms`)
  await sleep(SAMPLE_MS)
}

async function completedJobs(db: BenchDatabase): Promise<number> {
  const [row] = await db.query<{jobs: number}>(
    `select count(*)::int as jobs from _ayb_jobs where state = 'completed'`,
  )
  return row?.jobs ?? 0
}

/** After a collection of garbage, in MB. */
async function heapOf(worker: BenchWorker): Promise<number> {
  const seen = worker.output().match(/^heap in use/gm)?.length ?? 0
  worker.kill('SIGUSR2')
  const [, bytes] = await worker.waitFor(new RegExp(`(?:^heap in use (\\d+)$[^]*?){${seen + 1}}`, 'm'))
  return Number(bytes) / 1e6
}

/** The memory when so many jobs, and each multiple of it, were done. */
function levelsOf(samples: readonly Sample[]): string[] {
  const levels: string[] = []
  for (let jobs = SETTLED_AT; jobs <= JOBS; jobs += SETTLED_AT) {
    levels.push(samples.find((sample) => sample.jobs >= jobs)?.mb.toFixed(0) ?? '?')
  }
  return levels
}

/** Of the line with the least squares, in MB a job. */
function slope(samples: readonly Sample[]): number {
  const meanJobs = samples.reduce((sum, {jobs}) => sum + jobs, 0) / samples.length
  const meanMb = samples.reduce((sum, {mb}) => sum + mb, 0) / samples.length
  const covariance = samples.reduce((sum, {jobs, mb}) => sum + (jobs - meanJobs) * (mb - meanMb), 0)
  return covariance / samples.reduce((sum, {jobs}) => sum + (jobs - meanJobs) ** 2, 0)
}
