import {readFileSync, writeFileSync} from 'node:fs'
import {constants} from 'node:os'
import {join} from 'node:path'
import {parseArgs} from 'node:util'
import {ensureBuilt} from '../support/build.ts'
import {describeEnvironment} from './environment.ts'
import {installPeers} from './install.ts'
import {benchFolder, rootFolder} from './programs.ts'
import type {Bench, Measurement} from './row.ts'
import {busyView} from './rows/busy-view.ts'
import {claims} from './rows/claims.ts'
import {declared} from './rows/declared.ts'
import {doctor} from './rows/doctor.ts'
import {freshness} from './rows/freshness.ts'
import {graph} from './rows/graph.ts'
import {idle} from './rows/idle.ts'
import {largeView} from './rows/large-view.ts'
import {lateness} from './rows/lateness.ts'
import {listeners} from './rows/listeners.ts'
import {manyViews} from './rows/many-views.ts'
import {memory} from './rows/memory.ts'
import {oldSnapshot} from './rows/old-snapshot.ts'
import {pgCron} from './rows/pg-cron.ts'
import {politeness} from './rows/politeness.ts'
import {sameWork} from './rows/same-work.ts'
import {scale} from './rows/scale.ts'
import {schedulerStep} from './rows/scheduler-step.ts'
import {sets} from './rows/sets.ts'
import {startUp} from './rows/start-up.ts'
import {throughput} from './rows/throughput.ts'
import {unchanged} from './rows/unchanged.ts'
import {workers} from './rows/workers.ts'
import {replaceSections, type Section, toMarkdown, toText} from './table.ts'

const MEASUREMENTS: readonly Measurement[] = [
  startUp,
  largeView,
  throughput,
  sameWork,
  workers,
  pgCron,
  lateness,
  scale,
  schedulerStep,
  claims,
  oldSnapshot,
  busyView,
  manyViews,
  declared,
  doctor,
  graph,
  sets,
  unchanged,
  freshness,
  listeners,
  politeness,
  idle,
  memory,
]

const HELP = `Measures ayb beside its alternatives, on this machine and on servers of its own.

Usage:
  npm run bench                          All of it, into test/bench/RESULTS.md
  npm run bench -- --quick               Under three minutes; exit code 1 where a ratio is missed
  npm run bench -- --again name[,name]   Some of it, in the place of what test/bench/RESULTS.md has
  npm run bench -- --only name[,name]    Some of it, for a look: ${MEASUREMENTS.map(({name}) => name).join(', ')}`

const RESULTS = join(benchFolder, 'RESULTS.md')

interface Options {
  isQuick: boolean
  chosen: readonly Measurement[]
  isWhole: boolean
  /** Whether it is to replace what the results have of it. */
  isAgain: boolean
}

interface Failure {
  name: string
  error: unknown
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
  const failure = await ensureBuilt(rootFolder)
  if (failure !== null) {
    process.stderr.write(`ayb could not be built:\n${failure}\n`)
    return 1
  }
  await installPeers(say)
  const {sections, failures} = await measure(options)
  const environment = await describeEnvironment()
  process.stdout.write(toText(environment, sections, process.stdout.columns))
  for (const {name, error} of failures) process.stderr.write(`${name} failed: ${describe(error)}\n`)
  if (failures.length > 0) return 1
  if (options.isWhole) writeFileSync(RESULTS, toMarkdown(environment, sections))
  if (options.isAgain) {
    writeFileSync(RESULTS, replaceSections(readFileSync(RESULTS, 'utf8'), environment, sections))
  }
  const isMissed = sections.some(({rows}) => rows.some(({isMet}) => isMet === false))
  return options.isQuick && isMissed ? 1 : 0
}

/** The options, or what to say instead. */
function readOptions(args: string[]): Options | string {
  const values = parseOptions(args)
  if (values instanceof Error) return `${values.message}\n\n${HELP}`
  const {quick, again, help} = values
  const only = values.only ?? again
  if (help) return HELP
  const names = only?.split(',') ?? []
  const unknown = names.filter((name) => !MEASUREMENTS.some((measurement) => measurement.name === name))
  if (unknown.length > 0) return `there is no measurement ${unknown.join(', ')}\n\n${HELP}`
  const chosen = MEASUREMENTS.filter(({name, isQuick}) =>
    only === undefined ? isQuick || !quick : names.includes(name),
  )
  return {isQuick: quick, chosen, isWhole: !quick && only === undefined, isAgain: again !== undefined}
}

function parseOptions(args: string[]) {
  try {
    const {values} = parseArgs({
      args,
      options: {
        quick: {type: 'boolean', default: false},
        only: {type: 'string'},
        again: {type: 'string'},
        help: {type: 'boolean', short: 'h', default: false},
      },
    })
    return values
  } catch (error) {
    if (error instanceof TypeError) return error
    throw error
  }
}

/**
 * Servers and programs go with this process: they listen to its exit, which a signal alone would not bring
 * about.
 */
function endCleanly(): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => process.exit(128 + constants.signals[signal]))
  }
}

/** One after the other. What fails is told at the end: the others may have taken half an hour. */
async function measure({chosen, isQuick}: Options): Promise<{sections: Section[]; failures: Failure[]}> {
  const sections: Section[] = []
  const failures: Failure[] = []
  for (const {name, measure} of chosen) {
    const bench: Bench = {isQuick, say: (text) => say(`${name}: ${text}`)}
    const startedAt = performance.now()
    try {
      sections.push({name, rows: await measure(bench)})
      say(`${name}: done in ${Math.round((performance.now() - startedAt) / 1000)} s`)
    } catch (error) {
      failures.push({name, error})
      say(`${name}: failed`)
    }
  }
  return {sections, failures}
}

/** Progress; the table alone goes to stdout. */
function say(text: string): void {
  const time = new Date().toTimeString().slice(0, 8)
  process.stderr.write(`${time} ${text}\n`)
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}
