// What is wrong with a text that is not YAML, in words for whoever wrote the file.

import {shortened} from '../../lib/outside-text.ts'

export const TOO_DEEP = 'the file nests too deep'
export const FLAT = 'views, their names and their keys are three levels'
export const QUOTE_STAR = 'put a text that begins with * into quotes: in YAML it is an alias'

/** The library makes an error for each mistake, and a million stacks take seconds. */
export function withoutStacks<T>(work: () => T): T {
  const {stackTraceLimit} = Error
  Error.stackTraceLimit = 0
  try {
    return work()
  } finally {
    Error.stackTraceLimit = stackTraceLimit
  }
}

/** The message about an error of the library. */
export function messageOf(code: string, message: string): string {
  if (code === 'RESOURCE_EXHAUSTION' || message.includes('call stack')) return TOO_DEEP
  if (code === 'MULTIPLE_DOCS') return 'the file holds more than one document'
  return `this is not YAML: ${shortened(message.split('\n')[0] ?? '', 200)}`
}

/** What to do about an error in that line, most likely. */
export function hintOf(line: string): string {
  const text = line.slice(0, 1000)
  if (/[:[,{-]\s*\*/.test(text)) return QUOTE_STAR
  if (/[:[,{-]\s*@/.test(text)) return 'put a text that begins with @ into quotes'
  if (/^\s*(?:[{,-]\s*)?"[^"]*"\s*\.|"\s*\./.test(text) || /\."[^"]*"\s*:/.test(text)) {
    return `put a name with double quotes into single quotes as a whole: 'public."weekly stats"'`
  }
  if (/^\s*\t/.test(text)) return 'indent with spaces'
  return 'ayb export prints a file as an example'
}
