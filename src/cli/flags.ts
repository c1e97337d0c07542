import * as Args from '@oclif/core/args'
import * as Flags from '@oclif/core/flags'
import {parseAge, parseDuration, parseLockDuration, parseRetention} from '../lib/duration.ts'
import {isAybError} from '../lib/errors.ts'
import {parseJobId, parseViewName, parseViewReference, type ViewReference} from '../lib/identifier.ts'
import {parsePayload, type RefreshPayload} from '../lib/payload.ts'
import {REFRESH_MODES, type RefreshMode, type ViewName} from '../lib/records.ts'

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

const DURATION_HELP = '500ms|30s|5m|2h|7d'

/** A duration such as 500ms, 30s, 5m, 2h or 7d, in milliseconds. */
export const durationFlag = Flags.custom<number>({
  helpValue: DURATION_HELP,
  parse: async (text, _context, {name}) => checked(() => parseDuration(text, `--${name}`)),
})

/** As durationFlag, for what 0 would turn off. */
export const timeoutFlag = Flags.custom<number>({
  helpValue: DURATION_HELP,
  parse: async (text, _context, {name}) =>
    checked(() => parseDuration(text, `--${name}`, {isZeroFine: false})),
})

/** As durationFlag, and 0 as in Postgres: for locks, which are waited for as long as it takes, or never again. */
export const lockFlag = Flags.custom<number>({
  helpValue: `${DURATION_HELP}|0`,
  parse: async (text, _context, {name}) => checked(() => parseLockDuration(text, `--${name}`)),
})

/** How long ago, in milliseconds. */
export const ageFlag = Flags.custom<number>({
  helpValue: DURATION_HELP,
  parse: async (text, _context, {name}) => checked(() => parseAge(text, `--${name}`)),
})

/** A duration in milliseconds, or 0 for no end. */
export const retentionFlag = Flags.custom<number>({
  helpValue: DURATION_HELP,
  parse: async (text, _context, {name}) => checked(() => parseRetention(text, `--${name}`)),
})

/** For commands that delete. */
export const dryRunFlag = Flags.boolean({summary: 'Print what would go, and change nothing.'})

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

/** A view by its name alone, whether or not it is registered. */
export const viewNameArg = Args.custom<ViewName>({
  ignoreStdin: true,
  parse: async (text) => checked(() => parseViewName(text)),
})

/** As viewArg, for a flag. */
export const viewFlag = Flags.custom<ViewReference>({
  helpValue: '<view>',
  parse: async (text) => checked(() => parseViewReference(text)),
})

/** The schedule that a command is about: its id or its name. */
export const scheduleArg = Args.custom<string>({
  description: 'A schedule, by name or id.',
  ignoreStdin: true,
  parse: async (text) => text,
})

/** The job that a command is about: its id. */
export const jobArg = Args.custom<string>({
  description: 'The id of a job.',
  ignoreStdin: true,
  parse: async (text) => checked(() => parseJobId(text)),
})

/** What a job is to do, as JSON. */
export const payloadFlag = Flags.custom<RefreshPayload>({
  helpValue: '<json>',
  parse: async (text) => checked(() => parsePayload(text)),
})
