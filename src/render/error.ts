import {printable} from '../lib/printable.ts'
import type {Terminal} from './terminal.ts'

/**
 * `Error: <message>` and, where there is one, `Hint: <hint>`, each on one line however long: hints get
 * pasted.
 */
export function renderError(
  {message, hint}: {message: string; hint: string | null},
  {style}: Terminal,
): string {
  const line = `${style.red('Error:')} ${printable(message)}`
  return hint === null ? line : `${line}\n${style.cyan('Hint:')} ${printable(hint)}`
}

/** `Warning: <text>` on one line. */
export function renderWarning(text: string, {style}: Terminal): string {
  return `${style.yellow('Warning:')} ${printable(text)}`
}
