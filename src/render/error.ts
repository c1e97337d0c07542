import type {AybError} from '../lib/errors.ts'
import {printable} from '../lib/printable.ts'
import type {Terminal} from './terminal.ts'

/** `Error: <message>` and, where there is one, `Hint: <hint>`, each on one line however long: hints get pasted. */
export function renderError(error: AybError, {style}: Terminal): string {
  const message = `${style.red('Error:')} ${printable(error.message)}`
  return error.hint === null ? message : `${message}\n${style.cyan('Hint:')} ${printable(error.hint)}`
}

/** `Warning: <text>` on one line. */
export function renderWarning(text: string, {style}: Terminal): string {
  return `${style.yellow('Warning:')} ${printable(text)}`
}
