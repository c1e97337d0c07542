import {existsSync} from 'node:fs'
import {dirname, join} from 'node:path'
import {setTimeout as sleep} from 'node:timers/promises'
import {fileURLToPath} from 'node:url'
import {parseArgs} from 'node:util'
import {formatDuration} from '../../src/lib/duration.ts'
import {shellWord} from '../../src/lib/identifier.ts'
import {CheckFailure} from './check.ts'
import {VIEW} from './data.ts'
import {print, printFailure, printHeading, printSuccess, resetTerminal, say} from './print.ts'
import {openStage, type Stage} from './stage.ts'
import {STORY} from './story.ts'

const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))))
const PROGRAM = join(ROOT, 'bin', 'run.js')

/** The exit codes of a shell for a process that a signal ended. */
const EXIT_CODES = {SIGINT: 130, SIGTERM: 143, SIGHUP: 129} as const

/** A process that a closed pipe ends: SIGPIPE, 128 + 13. */
const PIPE_CLOSED = 141

const HELP = `Tells the story of a materialized view under ayb, with the real program on a
private PostgreSQL, and checks every step of it.

Usage:
  npm run demo
  npm run demo -- --keep

Options:
  --keep      Keep the database up after the story, until Ctrl-C, and say how to
              connect.
  -h, --help  Show this.`

interface Options {
  keep: boolean
  help: boolean
}

/** On a terminal, somebody reads what a step has shown: with it, the story takes two minutes. */
const READING_MS = 3000

/** From then on, Ctrl-C is how the demo is meant to end. */
let isStoryOver = false

process.exitCode = await main(process.argv.slice(2))

/** Returns the exit code. */
async function main(args: string[]): Promise<number> {
  const options = readOptions(args)
  if (options instanceof Error) {
    process.stderr.write(`${options.message}\n\n${HELP}\n`)
    return 2
  }
  if (options.help) {
    print(HELP)
    return 0
  }
  if (!existsSync(join(ROOT, 'dist', 'cli', 'main.js'))) {
    printFailure('ayb is not built: run npm ci, or node bin/build.js')
    return 1
  }
  endCleanly()
  try {
    await perform(options)
    return 0
  } catch (error) {
    printFailure(describe(error))
    return 1
  }
}

function readOptions(args: string[]): Options | Error {
  try {
    const {values} = parseArgs({
      args,
      options: {keep: {type: 'boolean', default: false}, help: {type: 'boolean', short: 'h', default: false}},
    })
    return values
  } catch (error) {
    if (error instanceof TypeError) return error
    throw error
  }
}

/**
 * Ends at a signal, or when nobody reads on. What has to be removed is removed by listeners to `exit`, which
 * also run where the story has come to an end by itself.
 */
function endCleanly(): void {
  for (const signal of Object.keys(EXIT_CODES) as (keyof typeof EXIT_CODES)[]) {
    process.on(signal, () => {
      process.exit(isStoryOver && signal === 'SIGINT' ? 0 : EXIT_CODES[signal])
    })
  }
  process.stdout.on('error', () => process.exit(PIPE_CLOSED))
  process.stderr.on('error', () => {})
  process.once('exit', resetTerminal)
}

async function perform({keep}: Options): Promise<void> {
  const startedAt = performance.now()
  say(
    'The story of a materialized view, told by ayb itself on a private PostgreSQL 18. Every step is checked.',
  )
  const stage = await openStage(PROGRAM)
  try {
    for (const [index, {title, play}] of STORY.entries()) {
      if (index > 0 && process.stdout.isTTY) await sleep(READING_MS)
      printHeading(`${index + 1}. ${title}`)
      await play(stage)
    }
    const elapsed = formatDuration(performance.now() - startedAt)
    printSuccess(`All ${STORY.length} steps went as told, in ${elapsed}.`)
    if (keep) await keepUp(stage)
  } finally {
    await stage.close()
  }
}

async function keepUp({databaseUrl, owner}: Stage): Promise<void> {
  isStoryOver = true
  say('The database stays up until Ctrl-C. To look around, paste this into another terminal:')
  print(`export DATABASE_URL=${shellWord(databaseUrl)}`)
  print(`alias ayb=${shellWord(`node ${shellWord(PROGRAM)}`)}`)
  say('And then, for example:')
  print('ayb matviews discover')
  print(`ayb matviews register ${VIEW} --mode concurrent`)
  print(`ayb matviews refresh ${VIEW}`)
  print(`ayb matviews show ${VIEW}`)
  print(`ayb schedules create --name live --cron "*/10 * * * * *" --view ${VIEW}`)
  print('ayb worker')
  print('ayb --help')
  await owner.waitForEnd()
  throw new CheckFailure('the database has gone away')
}

/** A failure of the story speaks for itself; of anything else, where it happened helps. */
function describe(error: unknown): string {
  if (error instanceof CheckFailure) return error.message
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}
