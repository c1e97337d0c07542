import {join} from 'node:path'
import {findPostgresProgram} from '../environment.ts'
import {aybProgram, findNode24, peersFolder, timeProgram} from '../programs.ts'
import {type Contestant, runRounds} from '../rounds.ts'
import type {Bench, Measurement, Row} from '../row.ts'
import {createBenchDatabase, startBenchServer} from '../server.ts'
import {describeValues, median} from '../statistics.ts'

const ROUNDS = 40
const QUICK_ROUNDS = 12
/** Everybody's files are in memory then, and what Node.js caches is there. */
const WARM_UP_ROUNDS = 2
const VIEWS = 20
const VIEW = 'v0'
const SCRIPT = join(peersFolder, 'script.mjs')
const LIST_IN_PSQL = 'select json_agg(r) from _ayb_matview_refreshes r'

/** A Node.js to run on, and how many times as long as a script ayb may take there. */
interface Runtime {
  name: string
  node: string
  limit: number
}

/** A line of the table: two contestants by name. */
interface Comparison {
  what: string
  beside: string
  ours: string
  theirs: string
  /** Null where there is no target. */
  limit: number | null
  note: string
}

/** How long whole commands take, from the start of the process to its exit. */
export const startUp: Measurement = {
  name: 'startUp',
  isQuick: true,
  async measure(bench) {
    const server = await startBenchServer()
    try {
      const db = await createBenchDatabase(server, {views: VIEWS})
      return await compare(bench, db.url)
    } finally {
      await server.stop()
    }
  },
}

async function compare(bench: Bench, url: string): Promise<Row[]> {
  const runtimes = listRuntimes()
  const comparisons = runtimes.flatMap(comparisonsOn).filter(({limit}) => limit !== null || !bench.isQuick)
  const compared = new Set(comparisons.flatMap(({ours, theirs}) => [ours, theirs]))
  const programs = [...runtimes.flatMap((runtime) => programsOn(runtime, url)), ...programsOfPsql(url)]
  const contestants = programs.filter(({name}) => compared.has(name))
  await runRounds(contestants, WARM_UP_ROUNDS)
  const rounds = bench.isQuick ? QUICK_ROUNDS : ROUNDS
  const valuesOf = await runRounds(contestants, rounds, (round) => {
    if (round % 10 === 0) bench.say(`round ${round} of ${rounds}`)
  })
  const rows = comparisons.map((comparison) =>
    toRow(comparison, valuesOf(comparison.ours), valuesOf(comparison.theirs)),
  )
  return findNode24() === null ? [...rows, withoutNode24] : rows
}

const withoutNode24: Row = {
  what: 'the same, Node.js 24',
  beside: '',
  ours: '',
  theirs: '',
  ratio: null,
  target: '',
  isMet: null,
  note: 'Node.js 24 is not installed under test/bench',
}

function listRuntimes(): Runtime[] {
  const [major = 0] = process.versions.node.split('.').map(Number)
  // A newer Node.js starts scripts faster, so that the same work on top weighs more.
  const own = {name: `Node.js ${major}`, node: process.execPath, limit: major < 22 ? 1.5 : 1.7}
  const newer = findNode24()
  return newer === null || major >= 24 ? [own] : [own, {name: 'Node.js 24', node: newer, limit: 1.7}]
}

function comparisonsOn({name, limit}: Runtime): Comparison[] {
  const list = {what: `matviews list --json, ${name}`, ours: `list, ${name}`, note: ''}
  const refresh = {
    what: `matviews refresh, ${name}`,
    ours: `refresh, ${name}`,
    note: 'ayb also takes the lock of the view and records the refresh',
  }
  return [
    {...list, beside: 'a script with pg alone', theirs: `script list, ${name}`, limit},
    {...list, beside: 'node -e 0', theirs: `nothing, ${name}`, limit: null},
    {...list, beside: 'psql -c', theirs: 'psql list', limit: null},
    {...refresh, beside: 'a script with pg alone', theirs: `script refresh, ${name}`, limit},
    {...refresh, beside: 'psql -c', theirs: 'psql refresh', limit: null},
  ]
}

function programsOn({name, node}: Runtime, url: string): Contestant<number>[] {
  const programs: [string, string[]][] = [
    ['list', [aybProgram, 'matviews', 'list', '--json']],
    ['script list', [SCRIPT, 'list']],
    ['refresh', [aybProgram, 'matviews', 'refresh', VIEW]],
    ['script refresh', [SCRIPT, 'refresh', VIEW]],
    ['nothing', ['-e', '0']],
  ]
  return programs.map(([what, args]) => ({
    name: `${what}, ${name}`,
    measure: () => timeProgram(node, args, {url}),
  }))
}

function programsOfPsql(url: string): Contestant<number>[] {
  const psql = findPostgresProgram('psql')
  if (psql === null) return []
  const programs: [string, string][] = [
    ['psql list', LIST_IN_PSQL],
    ['psql refresh', `refresh materialized view ${VIEW}`],
  ]
  return programs.map(([name, sql]) => ({
    name,
    measure: () => timeProgram(psql, ['-X', '-q', '-At', '-c', sql], {url}),
  }))
}

function toRow(comparison: Comparison, ours: readonly number[], theirs: readonly number[]): Row {
  const {what, beside, limit, note} = comparison
  const target = limit === null ? '' : `at most ${limit}`
  const row = {what, beside, ours: describeValues(ours, 'ms'), target}
  if (theirs.length === 0) {
    return {
      ...row,
      theirs: '',
      ratio: null,
      isMet: null,
      note: 'psql is not installed: apt-get install postgresql-client',
    }
  }
  const ratio = median(ours) / median(theirs)
  const isMet = limit === null ? null : ratio <= limit
  return {...row, theirs: describeValues(theirs, 'ms'), ratio, isMet, note}
}
