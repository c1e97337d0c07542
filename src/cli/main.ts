import {dirname, join} from 'node:path'
import {fileURLToPath} from 'node:url'
// Before main: it puts a listener on stdout, which surviveClosedOutput replaces.
import '@oclif/core/command'
import {Config} from '@oclif/core/config'
import type {PJSON} from '@oclif/core/interfaces'
import {run} from '@oclif/core/run'
import {settings} from '@oclif/core/settings'
import pjson from '../../package.json' with {type: 'json'}
import {checkCommandLine, HELP_FLAGS, isCommandWord} from './command-line.ts'
import {isJsonRequested, printFailure} from './output.ts'
import {toAybError} from './parse-errors.ts'

/** dist/cli/main.js → the package. */
const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))))
const HELP = join(ROOT, 'dist', 'help')

/** Runs one command line, and sets the exit code of the process. */
export async function main(argv: readonly string[]): Promise<void> {
  surviveClosedOutput()
  // Keeps oclif from looking for a TypeScript project (depending on NODE_ENV) and for plugins in the home
  // folder.
  settings.enableAutoTranspile = false
  const config = await Config.load({root: ROOT, pjson: pjson as PJSON, devPlugins: false, userPlugins: false})
  try {
    const [first, second, ...others] = argv
    // Words behind the name of a topic make it the name of a command: ayb help jobs list.
    if (first === 'help' && second !== undefined && others.every((word) => HELP_FLAGS.has(word))) {
      const {isHelpTopic, printHelp} = await import('./help-topics.ts')
      if (isHelpTopic(second)) {
        printHelp(HELP, second)
        if (isCommandWord(config, second)) process.stdout.write(`\nFor the flags: ayb ${second} --help\n`)
        return
      }
    }
    const line = checkCommandLine(config, argv)
    await run(line, config)
    if (line.length === 0 || HELP_FLAGS.has(line[0] as string)) {
      const {printHelp} = await import('./help-topics.ts')
      printHelp(HELP, 'root')
    }
  } catch (error) {
    printFailure(toAybError(error, config, undefined), {isJson: isJsonRequested(argv)})
  } finally {
    // Not before: work that never ends while nothing is left to do must not look like a success.
    endWithoutTidying()
  }
}

/**
 * Once nothing is left to do, Node.js would free all memory piece by piece, and then end. The system frees the memory
 * of a process that has ended at once.
 */
function endWithoutTidying(): void {
  process.once('beforeExit', () => process.exit())
}

/**
 * Ends quietly when the reader closes the pipe (`ayb … | head -1`). Reports other errors, such as a full
 * disk, in one line.
 */
function surviveClosedOutput(): void {
  process.stderr.on('error', () => {})
  // The listener of oclif throws, which would print a stack.
  process.stdout.removeAllListeners('error')
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') return
    process.stderr.write(`Error: cannot write to stdout: ${error.message}\n`)
    process.exitCode = 1
  })
}
