import type {ConcurrentBlocker, View} from './records/views.ts'
import {type Advice, type Remedy, wordAdvice} from './remedies.ts'

// Parts of documents that speak of commands or routes. `core` returns them as data, and each surface words
// them for its own readers.

/** A warning: a text for every reader, or a text with advice. `lead` comes before the advice, and a colon. */
export type Warning = string | (Advice & {message: string; lead: string | null})

/** A document whose warnings are not worded yet. */
export type Unworded<Document> = Omit<Document, 'warnings'> & {warnings: Warning[]}

/** The document with its warnings in words. A document without warnings stays as is. */
export type Worded<Document> = Document extends {warnings: readonly Warning[]}
  ? Omit<Document, 'warnings'> & {warnings: string[]}
  : Document

export type UnwordedBlocker = Omit<ConcurrentBlocker, 'hint'> & Advice

export type UnwordedView = Omit<View, 'concurrentBlockers'> & {concurrentBlockers: UnwordedBlocker[]}

/** A warning whose advice is a remedy. */
export const remediable = (message: string, lead: string | null, remedy: Remedy): Warning => ({
  message,
  lead,
  hint: null,
  remedy,
})

/** Each warning once. */
export const distinct = (warnings: readonly Warning[]): Warning[] => [
  ...new Map(warnings.map((warning) => [JSON.stringify(warning), warning])).values(),
]

/**
 * A warning that the view is not ready for a concurrent refresh. `lead` tells until when that does not
 * matter.
 */
export const notReady = ({message, hint, remedy}: UnwordedBlocker, lead: string): Warning => ({
  message,
  lead,
  hint,
  remedy,
})

/** The warning in words. `hintOf` words advice for the readers of one surface. */
export function wordWarningWith(warning: Warning, hintOf: (advice: Advice) => string | null): string {
  if (typeof warning === 'string') return warning
  const {message, lead} = warning
  const advice = hintOf(warning)
  if (advice === null) return message
  return `${message}; ${lead === null ? advice : `${lead}: ${advice}`}`
}

/**
 * What words advice, warnings and documents for the readers of one surface. A document without warnings stays
 * as is.
 */
export function wordings(word: (remedy: Remedy) => string) {
  const hint = (advice: Advice): string | null => wordAdvice(advice, word)
  const warning = (unworded: Warning): string => wordWarningWith(unworded, hint)
  const document = <T>(unworded: T): Worded<T> => {
    const {warnings} = (unworded ?? {}) as {warnings?: readonly Warning[]}
    return (warnings ? {...unworded, warnings: warnings.map(warning)} : unworded) as Worded<T>
  }
  const view = (unworded: UnwordedView): View => ({
    ...unworded,
    concurrentBlockers: unworded.concurrentBlockers.map(({code, message, ...advice}) => ({
      code,
      message,
      hint: hint(advice) ?? '',
    })),
  })
  return {hint, warning, document, view}
}
