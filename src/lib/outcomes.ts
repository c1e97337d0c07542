import {formatDuration} from './duration.ts'
import {AybError, type Blocker, isAybError} from './errors.ts'
import {qualifiedName, quoteIfNeeded, shellWord, type ViewReference} from './identifier.ts'
import type {ConcurrentBlocker, Job, Registration, RenamedView, ViewName} from './records.ts'

/** The command that registers a view, as a shell takes it. */
const registerCommand = (view: ViewName): string => `ayb matviews register ${shellWord(qualifiedName(view))}`

/** No registration of that id or name; `nearest` is the name of one that is similar. */
export function notRegistered(reference: ViewReference, nearest: string | null): AybError {
  if ('id' in reference) {
    return new AybError('NOT_REGISTERED', `no registration has the id ${reference.id}`, {
      hint: 'ayb matviews list',
    })
  }
  const guess = nearest ? `; did you mean ${nearest}?` : ''
  return new AybError(
    'NOT_REGISTERED',
    `materialized view ${qualifiedName(reference)} is not registered${guess}`,
    {hint: registerCommand(reference)},
  )
}

export const alreadyRegistered = (registration: Registration): AybError =>
  new AybError(
    'ALREADY_REGISTERED',
    `${qualifiedName(registration)} is registered already, in ${registration.refreshMode} mode`,
    {
      hint: `pass --if-not-exists to accept that; to change the mode: ayb matviews update ${shellWord(qualifiedName(registration))} --mode ${registration.refreshMode === 'standard' ? 'concurrent' : 'standard'}`,
    },
  )

/** A registration cannot move to a name that has a registration of its own. */
export const nameTaken = (view: ViewName): AybError =>
  new AybError('ALREADY_REGISTERED', `${qualifiedName(view)} is registered already`, {
    hint: `if another registration is to take the name over, first: ayb matviews unregister ${shellWord(qualifiedName(view))}`,
  })

/** A registration was to move to the name that it has. */
export const nameUnchanged = (view: ViewName): AybError =>
  new AybError('ALREADY_REGISTERED', `${qualifiedName(view)} is registered under that very name`, {
    hint: 'give the registration first, and then the name that the view has now',
  })

/** The command that moves a registration to the new name of its view, as a shell takes it. */
const relinkCommand = ({from, to}: RenamedView): string =>
  `ayb matviews relink ${shellWord(qualifiedName(from))} ${shellWord(qualifiedName(to))}`

/** The view of a registration bears another name; `other` is what bears the old one. */
export function viewRenamed(renamed: RenamedView, other: string | null): AybError {
  const [from, to] = [renamed.from, renamed.to].map(qualifiedName)
  const fact = other ? `${from} is ${article(other)} ${other} now` : `there is no materialized view ${from}`
  return new AybError('VIEW_NOT_FOUND', `${fact}: the view was renamed to ${to}`, {
    hint: relinkCommand(renamed),
    details: {renamed},
  })
}

/** A name that is not registered, of a view that is registered under the name it had before. */
export function registeredBefore(renamed: RenamedView): AybError {
  const [from, to] = [renamed.from, renamed.to].map(qualifiedName)
  return new AybError(
    'NOT_REGISTERED',
    `materialized view ${to} is not registered under that name: it is registered as ${from}, and was renamed to ${to}`,
    {hint: relinkCommand(renamed), details: {renamed}},
  )
}

/** A warning beside a registration. */
export const renamedWarning = (renamed: RenamedView): string =>
  `${qualifiedName(renamed.from)} was renamed to ${qualifiedName(renamed.to)}; to go on under that name: ${relinkCommand(renamed)}`

/** A warning where registrations without a view are removed. */
export const renamedStays = (renamed: RenamedView): string =>
  `${qualifiedName(renamed.from)} stays registered, since the view was renamed to ${qualifiedName(renamed.to)}; to go on under that name: ${relinkCommand(renamed)}`

/** The table of an AYB server checks names more strictly than Postgres does. */
export const refusedByServerTable = (view: ViewName, cause: Error): AybError =>
  new AybError(
    'INVALID_IDENTIFIER',
    `ayb's table of registrations does not take the name ${qualifiedName(view)}`,
    {
      hint: 'an AYB server made the table, which allows only A-Z, a-z, 0-9 and _ in names: rename the view, or its schema',
      cause,
    },
  )

const article = (noun: string): string => (/^[aeiou]/.test(noun) ? 'an' : 'a')

/** `other` is what bears the name instead; `nearest` is the name of a view that is similar. */
export function viewNotFound(view: ViewName, other: string | null, nearest: string | null): AybError {
  const name = qualifiedName(view)
  const message = other
    ? `${name} is ${article(other)} ${other}, not a materialized view`
    : `there is no materialized view ${name}`
  // What stands for bytes that are not UTF-8, on a command line as in a database in SQL_ASCII.
  const discover = name.includes('\ufffd')
    ? 'a name with bytes that are not UTF-8 cannot be given to ayb: rename the view'
    : 'see which there are with: ayb matviews discover'
  return new AybError('VIEW_NOT_FOUND', message, {hint: nearest ? `did you mean ${nearest}?` : discover})
}

/** No view has a name that the encoding of the database cannot hold. */
export const unencodableView = (view: ViewName, cause: Error): AybError =>
  new AybError(
    'VIEW_NOT_FOUND',
    `there is no materialized view ${qualifiedName(view)}: the encoding of the database cannot hold that name`,
    {hint: 'see which there are with: ayb matviews discover', cause},
  )

/** A schedule of which the encoding of the database cannot hold some text. */
export const unencodableSchedule = (cause: Error): AybError =>
  new AybError(
    'INVALID_ARGUMENT',
    `the name or the payload of the schedule has a character that the encoding of the database cannot hold: ${cause.message}`,
    {hint: 'leave that character out', cause},
  )

/** A reason against concurrent mode, as the error that it is when somebody insists. */
export const blockedError = ({code, message, hint}: ConcurrentBlocker): AybError =>
  new AybError(code, message, {hint})

export const notPopulated = (view: ViewName): ConcurrentBlocker => ({
  code: 'NOT_POPULATED',
  message: `${qualifiedName(view)} was never populated, and a concurrent refresh needs rows to compare with`,
  hint: `ayb matviews refresh ${shellWord(qualifiedName(view))} --mode standard`,
})

/** `statement` is the CREATE UNIQUE INDEX that would do; null where no column can be indexed. */
export function uniqueIndexRequired(
  view: ViewName,
  unfit: readonly {name: string; reason: string}[],
  statement: string | null,
): ConcurrentBlocker {
  const why = unfit.map(({name, reason}) => `${name} ${reason}`).join(', ')
  return {
    code: 'UNIQUE_INDEX_REQUIRED',
    message:
      `${qualifiedName(view)} has no unique index that a concurrent refresh can use` +
      (why === '' ? '' : `: ${why}; it must be on plain columns, valid, immediate and without WHERE`),
    hint: statement ?? 'add a column that is unique and that an index can hold to the view, and index it',
  }
}

/** `reference` is what was typed; `nearest` is the name of a schedule that is similar. */
export function scheduleNotFound(reference: string, nearest: string | null): AybError {
  return new AybError('SCHEDULE_NOT_FOUND', `there is no schedule ${JSON.stringify(reference)}`, {
    hint: nearest ? `did you mean ${nearest}?` : 'see which there are with: ayb schedules list',
  })
}

export const scheduleExists = (name: string): AybError =>
  new AybError('SCHEDULE_EXISTS', `the name ${JSON.stringify(name)} is taken by another schedule`, {
    hint: 'choose another name, or change that schedule with: ayb schedules update; those of other programs are not shown, and keep their names',
  })

export const jobNotFound = (id: string): AybError =>
  new AybError('JOB_NOT_FOUND', `there is no job ${id}`, {hint: 'see which there are with: ayb jobs list'})

export function jobStateConflict(job: Job, action: 'retry' | 'cancel'): AybError {
  const wanted = {retry: 'only a failed job can be retried', cancel: 'only a queued job can be canceled'}[
    action
  ]
  return new AybError('JOB_STATE_CONFLICT', `job ${job.id} is ${job.state}: ${wanted}`, {
    hint: `ayb jobs show ${job.id}`,
    details: {state: job.state},
  })
}

/** The schedule of a job that is to be retried has another one queued: a second one would do the same once more. */
export function queuedAlready(job: Job, queuedId: string): AybError {
  return new AybError(
    'JOB_STATE_CONFLICT',
    `job ${job.id} is not retried: its schedule has job ${queuedId} queued already`,
    {hint: `ayb jobs show ${queuedId}`, details: {state: job.state, queuedJobId: queuedId}},
  )
}

export function refreshInProgress(view: ViewName, holder: Blocker | null): AybError {
  const by = holder ? ` by ${describeBlocker(holder)}` : ''
  return new AybError(
    'REFRESH_IN_PROGRESS',
    `refresh already in progress: ${qualifiedName(view)} is locked${by}`,
    {
      hint: 'try again when it is done, or pass --wait',
      details: {blockers: holder ? [holder] : []},
    },
  )
}

/** `what` is missing: the right to use something of that owner's; `statement` would grant it. */
export function mayNotRefresh(
  view: ViewName,
  owner: string,
  what: 'schema' | 'view' | 'tables',
  statement: string,
): AybError {
  const name = qualifiedName(view)
  const message = {
    schema: `this role may not use schema ${quoteIfNeeded(view.schemaName)}, where ${name} is and which belongs to ${owner}`,
    view: `this role may not refresh ${name}, which belongs to ${owner}`,
    tables: `this role may refresh ${name}, but not record it in ayb's tables`,
  }[what]
  return new AybError('PERMISSION_DENIED', message, {
    hint: what === 'view' ? `${statement} -- or connect as ${owner}` : statement,
    details: {owner},
  })
}

/** A privilege that the query of a view needs, and that the role it runs as does not have. */
export interface MissingPrivilege {
  /** The role that lacks it. */
  role: string
  /** The view or materialized view that the role owns, and that needs the privilege. */
  view: string
  /** What the role may not do, as it follows "may not". */
  action: string
  /** Who can grant it. */
  grantor: string
  statement: string
}

/** The role that refreshes may do so, but the query of the view has the rights of others, who lack some. */
export function ownerMayNot(
  view: ViewName,
  [first, ...more]: readonly [MissingPrivilege, ...MissingPrivilege[]],
  {sqlstate}: Pick<ServerError, 'sqlstate'>,
): AybError {
  const {role, action, grantor} = first
  const others = more.length > 0 ? `, and ${more.length} more such privileges are missing` : ''
  return new AybError(
    'PERMISSION_DENIED',
    `the refresh of ${qualifiedName(view)} needs the rights of ${role}, who owns ${first.view} and may not ${action}${others}`,
    {
      hint: [first, ...more].map(({statement}) => statement).join(' '),
      details: {sqlstate, owner: grantor},
    },
  )
}

export function statementTimeout(view: ViewName, timeoutMs: number): AybError {
  return new AybError(
    'TIMEOUT',
    `statement timeout: the refresh of ${qualifiedName(view)} was cancelled after ${formatDuration(timeoutMs)}`,
    {
      hint: 'give it longer with --timeout; to see who is in its way, pass --lock-timeout too',
      details: {timeoutMs, timeout: 'statement'},
    },
  )
}

interface LockTimeout {
  /** How long the last try was to wait. */
  timeoutMs: number
  tries: number
  /** Since the first try began. */
  elapsedMs: number
  /** For which lock; null where nobody could look. */
  wait: {relation: string | null; isOfView: boolean; blockers: Blocker[]} | null
}

/** A lock could not be had: the one on the view itself, in the last of so many tries, or another one. */
export function lockTimeout(view: ViewName, {timeoutMs, tries, elapsedMs, wait}: LockTimeout): AybError {
  const blockers = wait?.blockers ?? []
  const by = blockers.length > 0 ? `, held by ${namedBlockers(blockers)}` : ''
  const on = wait?.relation ? ` on ${wait.relation}` : ''
  const waited =
    tries > 1
      ? `tried ${tries} times in ${formatDuration(elapsedMs)} to get a lock`
      : `waited ${formatDuration(timeoutMs)} for a lock`
  const isOther = wait !== null && !wait.isOfView
  const hint = blockers.some(({pid}) => pid === 0)
    ? 'end the prepared transaction with COMMIT PREPARED or ROLLBACK PREPARED'
    : isOther
      ? 'refresh again when the lock is free; --lock-timeout 5m waits longer for it, and readers of the view wait meanwhile, too'
      : 'give it longer with --lock-timeout or --lock-retry-for, or refresh in concurrent mode, which does not wait for readers'
  return new AybError('TIMEOUT', `lock timeout: the refresh of ${qualifiedName(view)} ${waited}${on}${by}`, {
    hint,
    details: {timeoutMs, timeout: 'lock', blockers, relation: wait?.relation ?? null, tries},
  })
}

/** How many sessions a line names. */
const MOST_NAMED = 3

function namedBlockers(blockers: readonly Blocker[]): string {
  const named = blockers.slice(0, MOST_NAMED).map(describeBlocker)
  const others = blockers.length - named.length
  if (others > 0) named.push(`${others} more`)
  return named.join(' and ')
}

/** Whom a refresh waits for, in the middle of a line: `waiting for pid 4711 (psql) for 12 s`. */
export function describeWait(blockers: readonly Blocker[], waitedMs: number): string {
  const named = blockers
    .slice(0, MOST_NAMED)
    .map(({pid, applicationName}) => (applicationName ? `pid ${pid} (${applicationName})` : `pid ${pid}`))
  const others = blockers.length - named.length
  if (others > 0) named.push(`${others} more`)
  const whom = named.length > 0 ? named.join(', ') : 'a lock'
  const howLong = waitedMs < 59_500 ? `${Math.round(waitedMs / 1000)} s` : formatDuration(waitedMs)
  return `waiting for ${whom} for ${howLong}`
}

export function waitTimeout(view: ViewName, timeoutMs: number, holder: Blocker | null): AybError {
  const by = holder ? ` by ${describeBlocker(holder)}` : ''
  return new AybError(
    'TIMEOUT',
    `wait timeout: after ${formatDuration(timeoutMs)}, ${qualifiedName(view)} is still being refreshed${by}`,
    {
      hint: 'give it longer with --wait-timeout',
      details: {timeoutMs, timeout: 'wait', blockers: holder ? [holder] : []},
    },
  )
}

/** Another session holds the lock under which ayb's tables are created and upgraded. */
export function migrationTimeout(timeoutMs: number, holder: Blocker | null): AybError {
  const by = holder ? `, held by ${describeBlocker(holder)}` : ''
  return new AybError(
    'TIMEOUT',
    `lock timeout: waited ${formatDuration(timeoutMs)} for the lock under which ayb's tables are created${by}`,
    {
      hint: `if that is no ayb at work, end it: ${endOf(holder)}; then try again`,
      details: {timeoutMs, timeout: 'lock', blockers: holder ? [holder] : []},
    },
  )
}

/** Another session locks one of ayb's own tables against readers; null where it was gone when looked for. */
export function tableLocked(table: string | null, timeoutMs: number, holder: Blocker | null): AybError {
  const which = table === null ? "one of ayb's own tables" : `ayb's own table ${table}`
  const by = holder ? `, which ${describeBlocker(holder)} locks` : ''
  return new AybError(
    'TIMEOUT',
    `lock timeout: waited ${formatDuration(timeoutMs)} for a lock on ${which}${by}`,
    {
      hint: holder
        ? `wait for that session to end, or end it: ${endOf(holder)}; then try again`
        : 'try again',
      details: {timeoutMs, timeout: 'table', blockers: holder ? [holder] : []},
    },
  )
}

/** The SQL that ends whoever holds a lock. */
function endOf(holder: Blocker | null): string {
  if (!holder) return "SELECT pid FROM pg_locks WHERE locktype = 'advisory'"
  return holder.pid === 0 ? 'ROLLBACK PREPARED' : `SELECT pg_terminate_backend(${holder.pid})`
}

/** An error as Postgres worded it. */
interface ServerError extends Error {
  sqlstate: string
  /** Its message, detail and SQLSTATE. */
  words: string
  detail: string | null
  serverHint: string | null
}

/** Postgres refused for a reason of its own: its words, detail and SQLSTATE. */
export function refreshFailed(view: ViewName, error: ServerError): AybError {
  const {sqlstate, words, detail} = error
  return new AybError('REFRESH_FAILED', `the refresh of ${qualifiedName(view)} failed: ${words}`, {
    hint: error.serverHint,
    details: {sqlstate, detail},
    cause: error,
  })
}

/** The refresh had ended, and was undone: a lock on `table`, one of ayb's own, kept it from being recorded. */
export function recordTimeout(
  view: ViewName,
  waitedMs: number,
  table: string,
  blockers: Blocker[],
): AybError {
  const by = blockers.length > 0 ? `, held by ${blockers.map(describeBlocker).join(' and ')}` : ''
  return new AybError(
    'TIMEOUT',
    `lock timeout: the refresh of ${qualifiedName(view)} was undone, because ayb waited ${formatDuration(waitedMs)} for a lock on its own table ${table} to record the refresh${by}`,
    {
      hint: 'wait for that session to end, or end it, then refresh again',
      details: {timeoutMs: waitedMs, timeout: 'record', blockers},
    },
  )
}

/** A warning: the refresh is done and in the history, but the registration does not show it. */
export function statusNotWritten(view: ViewName, holders: Blocker[]): string {
  const by = holders.length > 0 ? `, perhaps ${holders.map(describeBlocker).join(' or ')}` : ''
  return (
    `the list does not show how the refresh of ${qualifiedName(view)} ended: another session holds the row of the view in ` +
    `_ayb_matview_refreshes${by}; the history has it`
  )
}

/** Each of so many tries waited for a lock while somebody replaced what the view reads. */
export const alwaysOutdated = (view: ViewName, tries: number): AybError =>
  new AybError(
    'REFRESH_FAILED',
    `the tables that ${qualifiedName(view)} reads were replaced during each of ${tries} tries to refresh the view, so that each try saw neither their old rows nor their new ones`,
    {
      hint: 'refresh when no load is running, and check whether the query of the view itself truncates or rewrites a table',
    },
  )

/** A session in the way as a person can find it: pid, application, user, and for how long. */
export function describeBlocker({pid, user, applicationName, transactionAgeMs}: Blocker): string {
  const known = [
    applicationName,
    user && `user ${user}`,
    transactionAgeMs !== null && `in a transaction for ${formatDuration(transactionAgeMs)}`,
  ].filter(Boolean)
  return known.length > 0 ? `pid ${pid} (${known.join(', ')})` : `pid ${pid}`
}

/** Of a change whose commit may have been cut off, the error as it is to be told; any other error as it is. */
export function mayBeDone(error: unknown): unknown {
  if (!isAybError(error, 'CANCELED') && !isAybError(error, 'CONNECTION_LOST')) return error
  const {code, message, details, exitCode} = error
  return new AybError(code, `${message}; what it was to change may have been changed`, {
    hint: `look whether it was, before you try again${error.hint === null ? '' : `; ${error.hint}`}`,
    details,
    exitCode,
    cause: error,
  })
}
