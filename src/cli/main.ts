import {dirname} from 'node:path'
import {fileURLToPath} from 'node:url'
import {Config, run} from '@oclif/core'
import {checkCommandLine} from './command-line.ts'
import {isJsonRequested, printFailure} from './output.ts'
import {toAybError} from './parse-errors.ts'

/** dist/cli/main.js → the package. */
const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))))

/** Runs one command line, and sets the exit code of the process. */
export async function main(argv: readonly string[]): Promise<void> {
  surviveClosedOutput()
  const config = await Config.load({root: ROOT})
  try {
    await run(checkCommandLine(config, argv), config)
  } catch (error) {
    printFailure(toAybError(error, config, undefined), isJsonRequested(argv))
  }
}

/** `ayb … | head -1` ends quietly: whoever closed the pipe has seen enough. A full disk is told in a line. */
function surviveClosedOutput(): void {
  process.stderr.on('error', () => {})
  // oclif has put a listener of its own there, which throws, and so prints a stack.
  process.stdout.removeAllListeners('error')
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') return
    process.stderr.write(`Error: cannot write to stdout: ${error.message}\n`)
    process.exitCode = 1
  })
}
