import {AybError, isAybError, messageOf} from '../lib/errors.ts'
import {presentable} from '../lib/outside-text.ts'
import {printable, printableJson} from '../lib/printable.ts'
import {renderError, renderWarning} from '../render/error.ts'
import {describeTerminal} from '../render/terminal.ts'
import {commandLineHint} from './remedies.ts'

/** Whether the command line has --json before any `--`. */
export function isJsonRequested(argv: readonly string[]): boolean {
  const end = argv.indexOf('--')
  return (end === -1 ? argv : argv.slice(0, end)).includes('--json')
}

/** Prints an error, as text on stderr or as a document on stdout, and sets the exit code of the process. */
export function printFailure(error: AybError, isJson: boolean): void {
  process.exitCode = error.exitCode
  const hint = commandLineHint(error)
  if (isJson) {
    const {code, message, status, details} = error
    process.stdout.write(`${printableJson({error: {code, message, hint, status, details}}, 2)}\n`)
  } else {
    const text = renderError({message: error.message, hint}, describeTerminal(process.stderr, process.env))
    process.stderr.write(`${text}\n`)
  }
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
