import {describeBlocker, heldBy} from '../blockers.ts'
import {formatDuration} from '../duration.ts'
import {AybError, type Blocker} from '../errors.ts'
import {qualifiedName, quoteIfNeeded} from '../identifier.ts'
import type {ViewName} from '../records/values.ts'
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

/** The role lacks a privilege on `what`; `statement` grants it. */
export function mayNotRefresh(
  view: ViewName,
  owner: string,
  what: 'schema' | 'view' | 'tables',
  statement: string,
): AybError {
  const name = qualifiedName(view)
  const message = {
    schema: `this role may not use schema ${quoteIfNeeded(view.schemaName)}, which holds ${name} and belongs to ${owner}`,
    view: `this role may not refresh ${name}, which belongs to ${owner}`,
    tables: `this role may refresh ${name}, but may not record the refresh in ayb's tables`,
  }[what]
  return new AybError('PERMISSION_DENIED', message, {
    hint: what === 'view' ? `${statement} -- or connect as ${owner}` : statement,
    details: {owner},
  })
}

/** A privilege that the query of a view needs, and that the role which the query runs as lacks. */
export interface MissingPrivilege {
  /** The role that lacks it. */
  role: string
  /** The view or materialized view that the role owns, and that needs the privilege. */
  view: string
  /** Completes the sentence: the role may not … */
  action: string
  /** The role that can grant the privilege. */
  grantor: string
  statement: string
}

/** The role may refresh the view, but an owner whose rights the query of the view has lacks a privilege. */
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
    `statement timeout: the refresh of ${qualifiedName(view)} was canceled after ${formatDuration(timeoutMs)}`,
    {
      remedy: {kind: 'extend-statement-timeout'},
      details: {timeoutMs, timeout: 'statement'},
    },
  )
}

interface LockTimeout {
  /** The limit of the last try. */
  timeoutMs: number
  tries: number
  /** Since the first try began. */
  elapsedMs: number
  /** The lock that the last try waited for; null where ayb could not look. */
  wait: {relation: string | null; isOfView: boolean; blockers: Blocker[]} | null
}

/** The refresh did not get a lock: the lock on the view itself, after a number of tries, or another lock. */
export function lockTimeout(view: ViewName, {timeoutMs, tries, elapsedMs, wait}: LockTimeout): AybError {
  const blockers = wait?.blockers ?? []
  const on = wait?.relation ? ` on ${wait.relation}` : ''
  const waited =
    tries > 1
      ? `tried ${tries} times in ${formatDuration(elapsedMs)} to get a lock`
      : `waited ${formatDuration(timeoutMs)} for a lock`
  const advice: Partial<Advice> = blockers.some(({pid}) => pid === 0)
    ? {hint: 'end the prepared transaction with COMMIT PREPARED or ROLLBACK PREPARED'}
    : {remedy: {kind: 'extend-lock-timeout', view, isOnView: wait?.isOfView ?? true}}
  return new AybError(
    'TIMEOUT',
    `lock timeout: the refresh of ${qualifiedName(view)} ${waited}${on}${heldBy(blockers)}`,
    {
      ...advice,
      details: {timeoutMs, timeout: 'lock', blockers, relation: wait?.relation ?? null, tries},
    },
  )
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

/** An error of Postgres. */
interface ServerError extends Error {
  sqlstate: string
  /** The message, the DETAIL and the SQLSTATE as one text. */
  words: string
  detail: string | null
  serverHint: string | null
}

/** Postgres refused the refresh for a reason that has no code of its own. */
export function refreshFailed(view: ViewName, error: ServerError): AybError {
  const {sqlstate, words, detail} = error
  return new AybError('REFRESH_FAILED', `the refresh of ${qualifiedName(view)} failed: ${words}`, {
    hint: error.serverHint,
    details: {sqlstate, detail},
    cause: error,
  })
}

/** Another session had the server cancel the refresh. */
export const refreshCanceled = (view: ViewName, error: ServerError): AybError =>
  new AybError('REFRESH_FAILED', `another session canceled the refresh of ${qualifiedName(view)}`, {
    details: {sqlstate: error.sqlstate},
    cause: error,
  })

/** Postgres undid the refresh: ayb could not record it, because of a lock on its own table `table`. */
export function recordTimeout(
  view: ViewName,
  waitedMs: number,
  table: string,
  blockers: Blocker[],
): AybError {
  return new AybError(
    'TIMEOUT',
    `lock timeout: the refresh of ${qualifiedName(view)} was undone, because ayb waited ${formatDuration(waitedMs)} for a lock on its own table ${table} to record the refresh${heldBy(blockers)}`,
    {
      hint: 'wait until that session ends, or end it, then refresh again',
      details: {timeoutMs: waitedMs, timeout: 'record', blockers},
    },
  )
}

/** A warning: the refresh is recorded in the history, but not in the row of the registration. */
export function statusNotWritten(view: ViewName, holders: Blocker[]): string {
  const by = holders.length > 0 ? `, perhaps ${holders.map(describeBlocker).join(' or ')}` : ''
  return (
    `the list does not show how the refresh of ${qualifiedName(view)} ended, but the history does: another session locks ` +
    `the row of the view in _ayb_matview_refreshes${by}`
  )
}

/** Each try waited for a lock, and meanwhile somebody replaced the tables that the view reads. */
export const alwaysOutdated = (view: ViewName, tries: number): AybError =>
  new AybError(
    'REFRESH_FAILED',
    `the tables that ${qualifiedName(view)} reads were replaced during each of ${tries} tries to refresh the view, so that each try saw neither their old rows nor their new ones`,
    {
      hint: 'refresh when no load is running, and check whether the query of the view itself truncates or rewrites a table',
    },
  )
