import {AybError, isAybError, messageOf} from '../lib/errors.ts'
import {presentable} from '../lib/outside-text.ts'
import {printable, printableJson} from '../lib/printable.ts'
import type {ErrorRecord} from '../lib/records/values.ts'
import {renderError, renderWarning} from '../render/error.ts'
import type {Verbosity} from '../render/progress.ts'
import {describeTerminal} from '../render/terminal.ts'
import {commandLineHint} from './remedies.ts'
import {UsageError} from './usage-error.ts'

/** Whether the command line has a flag without a value before any `--`. */
function isRequested(argv: readonly string[], flag: string): boolean {
  const end = argv.indexOf('--')
  return (end === -1 ? argv : argv.slice(0, end)).includes(flag)
}

export const isJsonRequested = (argv: readonly string[]): boolean => isRequested(argv, '--json')

/** How much to tell on stderr besides warnings and errors. --json is for programs, which follow nothing. */
export function verbosityOf(argv: readonly string[]): Verbosity {
  if (isRequested(argv, '--verbose')) return 'verbose'
  return isRequested(argv, '--quiet') || isJsonRequested(argv) ? 'silent' : 'usual'
}

/** Prints an error, as text on stderr or as a document on stdout, and sets the exit code of the process. */
export function printFailure(error: AybError, {isJson}: {isJson: boolean}): void {
  process.exitCode = error.exitCode
  const record = errorRecord(error)
  if (isJson) process.stdout.write(`${printableJson({error: record}, 2)}\n`)
  else {
    const terminal = describeTerminal(process.stderr, process.env)
    const usage = error instanceof UsageError ? error.usage(terminal.columns) : null
    process.stderr.write(`${renderError(record, terminal)}\n${usage === null ? '' : `${usage}\n`}`)
  }
  printStack(error)
}

/** An error as documents hold it, with a hint for somebody at a command line. */
export const errorRecord = (error: AybError): ErrorRecord => {
  const {code, message, status, details} = error
  return {code, message, hint: commandLineHint(error), status, details}
}

/** Prints the stack of a bug on stderr where DEBUG asks for it. */
export function printStack(error: AybError): void {
  if (error.code === 'INTERNAL' && isDebugging(process.env)) {
    const stack = presentable((error.cause as Error | undefined)?.stack ?? error.stack ?? '')
    process.stderr.write(`${stack.split('\n').map(printable).join('\n')}\n`)
  }
}

/** Whether DEBUG=ayb* (or DEBUG=*) asks for more than users want to see. */
export const isDebugging = ({DEBUG = ''}: NodeJS.ProcessEnv): boolean => /(^|,)(\*|ayb\*?)(,|$)/.test(DEBUG)

/** Prints warnings on stderr, one a line. */
export function printWarnings(warnings: readonly string[]): void {
  const terminal = describeTerminal(process.stderr, process.env)
  for (const warning of warnings) process.stderr.write(`${renderWarning(warning, terminal)}\n`)
}

/** A value that was thrown unexpectedly, as the error of a bug. */
export function internalError(error: unknown): AybError {
  if (isAybError(error)) return error
  return new AybError('INTERNAL', `unexpected: ${messageOf(error)}`, {
    remedy: {kind: 'report-bug'},
    cause: error,
  })
}
