import {printable} from '../lib/printable.ts'
import {exactText, type Value} from './table.ts'
import type {Style, Terminal} from './terminal.ts'
import {displayWidth, wrapWords} from './width.ts'

export interface Field {
  label: string
  /** The exact value, for pipes; a field with null is left out on a terminal, unless it has a `display`. */
  value: Value
  /** The value for people, if it differs from the exact value; null leaves the field out on a terminal. */
  display?: string | null
  style?: Style | null
}

/** On a terminal with less room than this beside the labels, the terminal wraps the values. */
const MIN_VALUE_WIDTH = 20

/** One record: on a terminal an aligned block of `Label:  value`, else lines of label, tab, exact value. */
export function renderDetails(fields: readonly Field[], terminal: Terminal): string {
  if (!terminal.isTerminal) {
    return fields.map(({label, value}) => `${printable(label)}\t${exactText(value)}`).join('\n')
  }
  const shown = fields.filter(({value, display = value}) => display !== null)
  const indent = Math.max(0, ...shown.map(({label}) => displayWidth(label))) + 3
  const room = Math.max(MIN_VALUE_WIDTH, terminal.columns - indent)
  return shown
    .map(({label, value, display, style}) => {
      const text = display ? printable(display) : exactText(value)
      const wrapped = wrapWords(text, room).split('\n')
      const lines = wrapped.map((line) => (style ? terminal.style[style](line) : line))
      const padding = ' '.repeat(indent - displayWidth(label) - 1)
      const first = `${terminal.style.bold(`${label}:`)}${padding}`
      return `${first}${lines.join(`\n${' '.repeat(indent)}`)}`.trimEnd()
    })
    .join('\n')
}
