import {printable} from '../lib/printable.ts'
import {exactText, type Value} from './table.ts'
import type {Style, Terminal} from './terminal.ts'
import {displayWidth} from './width.ts'

export interface Field {
  label: string
  /** The exact value, for pipes; a field with null is left out on a terminal, unless it has a `display`. */
  value: Value
  /** The value for people, if it differs from the exact value; null leaves the field out on a terminal. */
  display?: string | null
  style?: Style | null
}

/** One record: on a terminal an aligned block of `Label:  value`, else lines of label, tab, exact value. */
export function renderDetails(fields: readonly Field[], terminal: Terminal): string {
  if (!terminal.isTerminal) {
    return fields.map(({label, value}) => `${printable(label)}\t${exactText(value)}`).join('\n')
  }
  const shown = fields.filter(({value, display = value}) => display !== null)
  const labelWidth = Math.max(0, ...shown.map(({label}) => displayWidth(label)))
  return shown
    .map(({label, value, display, style}) => {
      const text = display ? printable(display) : exactText(value)
      const padding = ' '.repeat(labelWidth - displayWidth(label) + 2)
      return `${terminal.style.bold(`${label}:`)}${padding}${style ? terminal.style[style](text) : text}`.trimEnd()
    })
    .join('\n')
}
