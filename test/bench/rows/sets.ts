import type {RefreshedSet} from '../../../src/lib/records/refreshes.ts'
import {aybProgram, findProgram, runProgram} from '../programs.ts'
import {type Contestant, runRounds} from '../rounds.ts'
import type {Measurement, Row} from '../row.ts'
import {type BenchDatabase, createBenchDatabase, startBenchServer} from '../server.ts'
import {describeValues, median, medianRatio} from '../statistics.ts'

const VIEW_MS = 100
const ROUNDS = 5
const QUICK_ROUNDS = 1
const CONCURRENCIES = [4, 8]
const TARGET = 1.1

/** Views that read each other, in a schema of their own. */
interface Shape {
  schema: string
  what: string
  /** What each view reads: numbers of views before it. */
  parents: readonly (readonly number[])[]
}

/** How long a set took, in milliseconds. */
interface Times {
  /** From the start of the program to its end. */
  wholeMs: number
  /** Without the start of the program, as ayb says. */
  setMs: number
  /** The least that is possible with the durations that the refreshes had. */
  boundMs: number
}

const SHAPES: readonly Shape[] = [
  {
    schema: 'chain',
    what: 'a chain of 20 views',
    parents: Array.from({length: 20}, (_, view) => (view === 0 ? [] : [view - 1])),
  },
  {
    schema: 'fan',
    what: '64 views that read one',
    parents: Array.from({length: 65}, (_, view) => (view === 0 ? [] : [0])),
  },
  {schema: 'lattice', what: 'a lattice of 8 × 8 views', parents: lattice(8)},
  {schema: 'dag', what: '200 views that read up to 3 others at random', parents: randomGraph(200, 3)},
]

/** How long a set of views takes that read each other, each of 100 ms, beside the least that is possible. */
export const sets: Measurement = {
  name: 'sets',
  isQuick: false,
  async measure(bench) {
    const server = await startBenchServer()
    try {
      const db = await createBenchDatabase(server, {views: 0})
      const rows: Row[] = []
      for (const shape of SHAPES) {
        await createShape(db, shape)
        for (const concurrency of CONCURRENCIES) {
          const results = await runRounds(
            contestants(db, shape, concurrency),
            bench.isQuick ? QUICK_ROUNDS : ROUNDS,
          )
          rows.push(...rowsOf(shape, concurrency, results))
          bench.say(`${shape.what}, ${concurrency} at once`)
        }
      }
      return rows
    } finally {
      await server.stop()
    }
  },
}

/** View by view, each reads the view to its left and the view above. */
function lattice(side: number): number[][] {
  return Array.from({length: side * side}, (_, view) => [
    ...(view % side === 0 ? [] : [view - 1]),
    ...(view < side ? [] : [view - side]),
  ])
}

/** The same on each run: the numbers come from a generator with a fixed seed. */
function randomGraph(size: number, mostParents: number): number[][] {
  let state = 20_260_301
  const below = (limit: number) => {
    state = (state * 48_271) % 2_147_483_647
    return state % limit
  }
  return Array.from({length: size}, (_, view) => {
    const parents = new Set<number>()
    for (let left = below(mostParents + 1); left > 0 && view > 0; left--) parents.add(below(view))
    return [...parents]
  })
}

async function createShape(db: BenchDatabase, {schema, parents}: Shape): Promise<void> {
  await db.query(`create schema ${schema}`)
  for (const [view, read] of parents.entries()) {
    const above = read.map((parent) => `(select count(*) from ${schema}.v${parent})`)
    await db.query(
      `create materialized view ${schema}.v${view} as
       select pg_sleep(${VIEW_MS / 1000})::text as slept${above.map((count, index) => `, ${count} as n${index}`).join('')}
         with no data`,
    )
  }
  const args = [aybProgram, 'matviews', 'register', '--all', '--schema', schema]
  await runProgram(process.execPath, args, {url: db.url})
  // Now all hold data, and the history knows how long they take.
  await refreshWithAyb(db, {schema, parents}, 8)
}

const contestants = (db: BenchDatabase, shape: Shape, concurrency: number): Contestant<Times>[] => [
  {name: 'ayb', measure: () => refreshWithAyb(db, shape, concurrency)},
  ...(findProgram('psql') && findProgram('xargs')
    ? [{name: 'xargs', measure: () => refreshByWaves(db, shape, concurrency)}]
    : []),
]

async function refreshWithAyb(
  {url}: BenchDatabase,
  {schema, parents}: Pick<Shape, 'schema' | 'parents'>,
  concurrency: number,
): Promise<Times> {
  const args = ['matviews', 'refresh', '--schema', schema, '--concurrency', String(concurrency), '--json']
  const startedAt = performance.now()
  const output = await runProgram(process.execPath, [aybProgram, ...args], {url})
  const wholeMs = performance.now() - startedAt
  const {durationMs, refreshes} = JSON.parse(output) as RefreshedSet
  const durations = parents.map((_, view) => {
    const member = refreshes.find(({registration}) => registration.viewName === `v${view}`)
    return member?.durationMs ?? Number.NaN
  })
  return {wholeMs, setMs: durationMs, boundMs: lowerBound(parents, durations, concurrency)}
}

/** What people write by hand: the views by waves, and in each wave one psql for each view. */
async function refreshByWaves({url}: BenchDatabase, shape: Shape, concurrency: number): Promise<Times> {
  const waves = wavesOf(shape).map((views) => {
    const names = views.map((view) => `${shape.schema}.v${view}`).join(' ')
    return `printf '%s\\n' ${names} | xargs -P ${concurrency} -I{} psql -qX -v ON_ERROR_STOP=1 -c 'refresh materialized view {}'`
  })
  const startedAt = performance.now()
  await runProgram('sh', ['-ec', waves.join('\n')], {url})
  return {wholeMs: performance.now() - startedAt, setMs: Number.NaN, boundMs: Number.NaN}
}

function wavesOf({parents}: Shape): number[][] {
  const waves: number[][] = []
  const depths = longestPaths(
    parents,
    parents.map(() => 1),
  )
  for (const [view, depth] of depths.entries()) {
    const wave = waves[depth - 1]
    if (wave) wave.push(view)
    else waves[depth - 1] = [view]
  }
  return waves
}

/** For each view, how long the longest path takes that ends with it. */
function longestPaths(parents: Shape['parents'], durations: readonly number[]): number[] {
  const paths: number[] = []
  for (const [view, read] of parents.entries()) {
    paths.push(Math.max(0, ...read.map((parent) => paths[parent] ?? 0)) + (durations[view] ?? 0))
  }
  return paths
}

/** The longest path, or all work divided by the refreshes at once, whatever takes longer. */
function lowerBound(parents: Shape['parents'], durations: readonly number[], concurrency: number): number {
  const workMs = durations.reduce((sum, ms) => sum + ms, 0)
  return Math.max(workMs / concurrency, ...longestPaths(parents, durations))
}

/**
 * What the shortest schedule takes, if all views take the same time: of the views that can start, those with
 * the longest path behind them start first. For these shapes no schedule is shorter:
 *
 * - the chain, and the lattice with 8 at once, take as long as their longest path
 * - the fan takes one round for the view that the others read, and 64 ÷ concurrency rounds for the others
 * - the lattice with 4 at once takes 19 rounds: 3 at the beginning and 3 at the end have no more than 1, 2 and
 *   3 views that can run, and the 52 views between them take 13
 * - the graph takes 200 ÷ concurrency rounds: there are always enough views that can run
 */
function shortestSchedule(parents: Shape['parents'], concurrency: number): number {
  const behind = parents.map(() => 0)
  for (const [view, read] of [...parents.entries()].reverse()) {
    for (const parent of read) behind[parent] = Math.max(behind[parent] ?? 0, (behind[view] ?? 0) + 1)
  }
  const byPath = [...parents.keys()].sort((a, b) => (behind[b] ?? 0) - (behind[a] ?? 0))
  const ended = new Set<number>()
  let rounds = 0
  for (; ended.size < parents.length; rounds++) {
    const canStart = (view: number) => !ended.has(view) && parents[view]?.every((parent) => ended.has(parent))
    for (const view of byPath.filter(canStart).slice(0, concurrency)) ended.add(view)
  }
  return rounds * VIEW_MS
}

function rowsOf(
  {what, parents}: Shape,
  concurrency: number,
  resultsOf: (name: string) => readonly Times[],
): Row[] {
  const name = `${what}, ${concurrency} at once`
  const ours = resultsOf('ayb')
  const theirs = resultsOf('xargs').map(({wholeMs}) => wholeMs)
  const setMs = ours.map((times) => times.setMs)
  const wholeMs = ours.map((times) => times.wholeMs)
  const sleepMs = lowerBound(
    parents,
    parents.map(() => VIEW_MS),
    concurrency,
  )
  const shortestMs = shortestSchedule(parents, concurrency)
  const besideSleep = (beside: string, ms: number, note: string): Row => {
    const ratio = median(setMs) / ms
    return {
      what: name,
      beside,
      ours: describeValues(setMs, 'ms'),
      theirs: describeValues([ms], 'ms'),
      ratio,
      target: `at most ${TARGET}`,
      isMet: ratio <= TARGET,
      note,
    }
  }
  const boundMs = ours.map((times) => times.boundMs)
  return [
    besideSleep(
      'lower bound',
      sleepMs,
      `each view sleeps for ${VIEW_MS} ms; the bound is the longest path, or all work divided by the refreshes at once${shortestMs > sleepMs ? ', which no schedule reaches' : ''}; ayb without the start of Node.js`,
    ),
    besideSleep(
      'the shortest schedule',
      shortestMs,
      'the longest path first, where the views sleep and nothing else takes time',
    ),
    {
      what: name,
      beside: 'lower bound, by what each REFRESH took',
      ours: describeValues(setMs, 'ms'),
      theirs: describeValues(boundMs, 'ms'),
      ratio: medianRatio(setMs, boundMs),
      target: '',
      isMet: null,
      note: 'as the history has it: a REFRESH takes longer than its query sleeps',
    },
    {
      what: `${name}, whole process`,
      beside: 'xargs -P over psql, by waves',
      ours: describeValues(wholeMs, 'ms'),
      theirs: theirs.length > 0 ? describeValues(theirs, 'ms') : '',
      ratio: theirs.length > 0 ? medianRatio(wholeMs, theirs) : null,
      target: '',
      isMet: null,
      note: 'the waves are written by hand, and nothing is recorded',
    },
  ]
}
