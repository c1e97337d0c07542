import * as Args from '@oclif/core/args'
import * as Flags from '@oclif/core/flags'
import {parseAge, parseDuration, parseLockDuration, parseRetention} from '../lib/duration.ts'
import {isAybError} from '../lib/errors.ts'
import {parseJobReference, parseViewName, parseViewReference, type ViewReference} from '../lib/identifier.ts'
import {LOG_LEVELS, type LogLevel} from '../lib/log-level.ts'
import {parsePayload, type RefreshPayload} from '../lib/payload.ts'
import {parseSetting, parseSettingName, type Setting} from '../lib/postgres-settings.ts'
import {withoutNone} from '../lib/quiet-times.ts'
import {CATCH_UPS, type CatchUp} from '../lib/records/schedules.ts'
import {REQUESTED_MODES, type RequestedMode, type ViewName} from '../lib/records/values.ts'

/**
 * Carries an AybError through the parser of oclif, which rewrites the message of errors from parse functions.
 */
class ArgumentError extends Error {}

function checked<T>(parse: () => T): T {
  try {
    return parse()
  } catch (error) {
    if (!isAybError(error)) throw error
    throw new ArgumentError(error.message, {cause: error})
  }
}

const DURATION_HELP = '<duration>'

/** A duration such as 500ms, 30s, 5m, 2h or 7d, in milliseconds. */
export const durationFlag = Flags.custom<number>({
  helpValue: DURATION_HELP,
  parse: async (text, _context, {name}) => checked(() => parseDuration(text, `--${name}`)),
})

/** A durationFlag that refuses 0: a timeout of 0 would mean no timeout. */
export const timeoutFlag = Flags.custom<number>({
  helpValue: DURATION_HELP,
  parse: async (text, _context, {name}) =>
    checked(() => parseDuration(text, `--${name}`, {isZeroFine: false})),
})

/**
 * A durationFlag for locks, where 0 has a meaning: no limit for --lock-timeout, no retry for
 * --lock-retry-for.
 */
export const lockFlag = Flags.custom<number>({
  helpValue: `${DURATION_HELP}|0`,
  parse: async (text, _context, {name}) => checked(() => parseLockDuration(text, `--${name}`)),
})

/** A timeoutFlag that also takes none, for a limit that is stored and can be taken away. */
export const limitFlag = Flags.custom<number | 'none'>({
  helpValue: `${DURATION_HELP}|none`,
  parse: async (text, _context, {name}) =>
    text === 'none' ? text : checked(() => parseDuration(text, `--${name}`, {isZeroFine: false})),
})

/** A lockFlag that also takes none. */
export const lockLimitFlag = Flags.custom<number | 'none'>({
  helpValue: `${DURATION_HELP}|0|none`,
  parse: async (text, _context, {name}) =>
    text === 'none' ? text : checked(() => parseLockDuration(text, `--${name}`)),
})

/** An age in milliseconds. */
export const ageFlag = Flags.custom<number>({
  helpValue: DURATION_HELP,
  parse: async (text, _context, {name}) => checked(() => parseAge(text, `--${name}`)),
})

/** The oldest that data may be, in milliseconds; none for no limit. */
export const ageLimitFlag = Flags.custom<number | 'none'>({
  helpValue: `${DURATION_HELP}|none`,
  parse: async (text, _context, {name}) =>
    text === 'none' ? text : checked(() => parseAge(text, `--${name}`, {isZeroFine: false})),
})

/** After how many failures in a row a notice is sent. */
export const notifyAfterFlag = Flags.integer({
  summary: 'Send a notice when this many refreshes of a view in a row have failed.',
  default: 1,
  min: 1,
  helpValue: '<n>',
})

/** A duration in milliseconds, or 0 for no limit. */
export const retentionFlag = Flags.custom<number>({
  helpValue: DURATION_HELP,
  parse: async (text, _context, {name}) => checked(() => parseRetention(text, `--${name}`)),
})

/** For lists. */
export const outputFlag = Flags.custom<'wide'>({
  char: 'o',
  summary: 'On a terminal: wide shows all columns, and cuts no text.',
  helpValue: 'wide',
  options: ['wide'],
})

/** For lists that ayb sorts itself. */
export const sortFlag = <Key extends string>(keys: readonly Key[], summary: string) =>
  Flags.custom<Key>({summary, helpValue: keys.join('|'), options: [...keys]})()

/** For lists. */
export const watchFlag = Flags.boolean({
  summary: 'On a terminal: look again every 2 seconds, and redraw the screen, until Ctrl-C.',
})

/** The largest number of rows of a list. */
export const rowsFlag = (summary: string) => Flags.integer({summary, min: 1, max: 10_000, helpValue: '<n>'})

/** For commands that delete. */
export const dryRunFlag = Flags.boolean({summary: 'Print what would be deleted, and change nothing.'})

/** auto, standard or concurrent. */
export const modeFlag = Flags.custom<RequestedMode>({
  helpValue: REQUESTED_MODES.join('|'),
  options: [...REQUESTED_MODES],
})

/** A setting of Postgres for a refresh, as name=value. */
export const settingFlag = Flags.custom<Setting>({
  helpValue: '<name>=<value>',
  // The view may stand behind the flag.
  multipleNonGreedy: true,
  parse: async (text, _context, {name}) => checked(() => parseSetting(text, `--${name}`)),
})

/** The name of such a setting. */
export const settingNameFlag = Flags.custom<string>({
  helpValue: '<name>',
  multipleNonGreedy: true,
  parse: async (text, _context, {name}) => checked(() => parseSettingName(text, `--${name}`)),
})

/** The view of a command: the id of a registration, schema.view, or view. */
export const viewArg = Args.custom<ViewReference>({
  description: 'A registration id, schema.view, or a view in schema public.',
  // Without this, oclif takes a missing argument from a stdin that is not a terminal.
  ignoreStdin: true,
  parse: async (text) => checked(() => parseViewReference(text)),
})

/** The name of a view, registered or not. */
export const viewNameArg = Args.custom<ViewName>({
  ignoreStdin: true,
  parse: async (text) => checked(() => parseViewName(text)),
})

/** viewArg as a flag. */
export const viewFlag = Flags.custom<ViewReference>({
  helpValue: '<view>',
  parse: async (text) => checked(() => parseViewReference(text)),
})

/** The schedule of a command, by id or name. */
export const scheduleArg = Args.custom<string>({
  description: 'A schedule, by name or id.',
  ignoreStdin: true,
  parse: async (text) => text,
})

/** The job of a command, by id, or by the beginning of it. */
export const jobArg = Args.custom<string>({
  description: 'The id of a job, or its first characters if no other job has the same.',
  ignoreStdin: true,
  parse: async (text) => checked(() => parseJobReference(text)),
})

/** The least important level of a log that is written. */
export const logLevelFlag = Flags.custom<LogLevel>({
  helpValue: LOG_LEVELS.join('|'),
  options: [...LOG_LEVELS],
})

/** The payload of a job, as JSON. */
export const payloadFlag = Flags.custom<RefreshPayload>({
  helpValue: '<json>',
  parse: async (text) => checked(() => parsePayload(text)),
})

/** Times in which no run begins. */
export const notDuringFlag = ({summary}: {summary: string}) =>
  Flags.string({summary, helpValue: '<time>', multiple: true, multipleNonGreedy: true})

/** When the runs of a schedule begin, beside when they are due. */
export const schedulePolicyFlags = {
  jitter: limitFlag({
    summary:
      'Begin the runs up to this long after their due times: each schedule has an offset of its own, at most half of its period; none: no offset.',
  }),
  'catch-up': Flags.custom<CatchUp>({options: [...CATCH_UPS]})({
    summary:
      'Whether a worker makes up for runs that were missed while no worker was alive: for the latest of them, or for none. A run is missed if no worker could begin it within a minute.',
    helpValue: CATCH_UPS.join('|'),
  }),
  'not-during': notDuringFlag({
    summary:
      'Begin no run at this time, by the clock of --timezone, such as "08:00-18:00 mon-fri". If runs were due, one run begins when the time ends. Can be repeated; none: no such times.',
  }),
}

/** The values of these flags. */
export const schedulePolicyInput = (flags: {
  jitter?: number | 'none' | undefined
  'catch-up'?: CatchUp | undefined
  'not-during'?: string[] | undefined
}) => ({
  jitterMs: flags.jitter === 'none' ? null : flags.jitter,
  catchUp: flags['catch-up'],
  notDuring: flags['not-during'] && withoutNone(flags['not-during']),
})

/** Which views a schedule refreshes beside its own. */
export const scopeFlags = {
  cascade: Flags.boolean({
    summary: 'After the view, also refresh the registered views that read the view.',
    allowNo: true,
  }),
  'with-dependencies': Flags.boolean({
    summary: 'Before the view, also refresh the registered views that the view reads.',
    allowNo: true,
  }),
}
