import {Args, Flags} from '@oclif/core'
import {parseDuration} from '../lib/duration.ts'
import {isAybError} from '../lib/errors.ts'
import {parseViewReference, type ViewReference} from '../lib/identifier.ts'
import {REFRESH_MODES, type RefreshMode} from '../lib/records.ts'

/** Carries an AybError through oclif's parser, which rewrites the message of whatever a parse function throws. */
class ArgumentError extends Error {}

function checked<T>(parse: () => T): T {
  try {
    return parse()
  } catch (error) {
    if (!isAybError(error)) throw error
    throw new ArgumentError(error.message, {cause: error})
  }
}

/** A duration such as 500ms, 30s, 5m, 2h or 7d, in milliseconds. */
export const durationFlag = Flags.custom<number>({
  helpValue: '<duration>',
  parse: async (text, _context, {name}) => checked(() => parseDuration(text, `--${name}`)),
})

/** standard or concurrent. */
export const modeFlag = Flags.custom<RefreshMode>({
  helpValue: REFRESH_MODES.join('|'),
  options: [...REFRESH_MODES],
})

/** The view that a command is about: a registration's id, schema.view, or view. */
export const viewArg = Args.custom<ViewReference>({
  description: 'A registration id, schema.view, or a view in schema public.',
  // Without this, oclif takes a missing argument from a stdin that is not a terminal.
  ignoreStdin: true,
  parse: async (text) => checked(() => parseViewReference(text)),
})
