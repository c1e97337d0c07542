import {describeBlocker, namedBlockers} from '../blockers.ts'
import {formatDuration} from '../duration.ts'
import {AybError, type Blocker} from '../errors.ts'
import {qualifiedName, quoteIfNeeded} from '../identifier.ts'
import type {ViewName} from '../records.ts'
import type {Advice} from '../remedies.ts'

export function refreshInProgress(view: ViewName, holder: Blocker | null): AybError {
  const by = holder ? ` by ${describeBlocker(holder)}` : ''
  return new AybError(
    'REFRESH_IN_PROGRESS',
    `refresh already in progress: ${qualifiedName(view)} is locked${by}`,
    {
      remedy: {kind: 'wait-for-refresh'},
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
      remedy: {kind: 'extend-statement-timeout'},
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
  const advice: Partial<Advice> = blockers.some(({pid}) => pid === 0)
    ? {hint: 'end the prepared transaction with COMMIT PREPARED or ROLLBACK PREPARED'}
    : {remedy: {kind: 'extend-lock-timeout', view, isOnView: wait?.isOfView ?? true}}
  return new AybError('TIMEOUT', `lock timeout: the refresh of ${qualifiedName(view)} ${waited}${on}${by}`, {
    ...advice,
    details: {timeoutMs, timeout: 'lock', blockers, relation: wait?.relation ?? null, tries},
  })
}

export function waitTimeout(view: ViewName, timeoutMs: number, holder: Blocker | null): AybError {
  const by = holder ? ` by ${describeBlocker(holder)}` : ''
  return new AybError(
    'TIMEOUT',
    `wait timeout: after ${formatDuration(timeoutMs)}, ${qualifiedName(view)} is still being refreshed${by}`,
    {
      remedy: {kind: 'extend-wait'},
      details: {timeoutMs, timeout: 'wait', blockers: holder ? [holder] : []},
    },
  )
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
