import {isAllowedSetting, type PostgresSettings, type Setting} from '../../lib/postgres-settings.ts'
import {makeSettings, settingTo} from '../session/settings.ts'
import type {Session} from '../session.ts'
import {hasSqlstate, SQLSTATE, type StatementError} from '../sqlstate.ts'

/** A setting that a refresh does without. */
export interface RefusedSetting extends Setting {
  /** What the server says against it; null where ayb itself does not set that. */
  error: StatementError | null
}

/**
 * SQL: makes the settings, at least one, until the transaction ends. Unlike SET, set_config takes each value
 * as postgresql.conf does, also a list.
 */
export const settingSql = (session: Session, settings: PostgresSettings): string =>
  makeSettings(
    Object.entries(settings).map(([name, value]) => settingTo(session.literal(name), session.literal(value))),
  )

/** SQL: the same settings as they were. None of them is one that a session of ours sets for itself. */
export const resetSql = (session: Session, settings: PostgresSettings): string =>
  makeSettings(Object.keys(settings).map((name) => settingTo(session.literal(name), null)))

/** The SQLSTATEs with which a server refuses a setting: for its name, its value or the role. */
const REFUSALS = [
  SQLSTATE.INVALID_PARAMETER_VALUE,
  SQLSTATE.UNDEFINED_OBJECT,
  SQLSTATE.INSUFFICIENT_PRIVILEGE,
  SQLSTATE.CANT_CHANGE_PARAMETER,
  SQLSTATE.FEATURE_NOT_SUPPORTED,
  SQLSTATE.INVALID_NAME,
  SQLSTATE.CHARACTER_NOT_IN_REPERTOIRE,
  SQLSTATE.UNTRANSLATABLE_CHARACTER,
]

export const isSettingRefused = (error: unknown): error is StatementError => hasSqlstate(error, ...REFUSALS)

/** Makes each setting for a moment, and returns those that the server refuses. */
export async function trySettings(session: Session, settings: PostgresSettings): Promise<RefusedSetting[]> {
  const refused: RefusedSetting[] = []
  for (const [name, value] of Object.entries(settings)) {
    try {
      await session.script([settingSql(session, {[name]: value})])
    } catch (error) {
      if (!isSettingRefused(error)) throw error
      refused.push({name, value, error})
    }
  }
  return refused
}

interface Refusals {
  /** By name and value. */
  bySetting: Map<string, RefusedSetting>
  /** By performance.now(). */
  noticedAt: number
}

const refusalsOf = new WeakMap<Session, Refusals>()

/** A worker keeps its sessions for months, and tablespaces and rights come meanwhile. */
const TRY_AGAIN_MS = 60_000

const keyOf = (name: string, value: string): string => `${name}=${value}`

/**
 * The settings without those that the server has refused to this session in the last minute, and without
 * those that ayb does not set: other programs can write policies, too.
 */
export function usableSettings(
  session: Session,
  settings: PostgresSettings,
): {usable: PostgresSettings; refused: RefusedSetting[]} {
  const known = recentRefusals(session)
  const refused: RefusedSetting[] = []
  const usable = Object.entries(settings).filter(([name, value]) => {
    const refusal = isAllowedSetting({name, value})
      ? known?.bySetting.get(keyOf(name, value))
      : {name, value, error: null}
    if (refusal) refused.push(refusal)
    return !refusal
  })
  return {usable: Object.fromEntries(usable), refused}
}

function recentRefusals(session: Session): Refusals | null {
  const known = refusalsOf.get(session.origin)
  return known && performance.now() - known.noticedAt < TRY_AGAIN_MS ? known : null
}

/**
 * Finds out which of these settings the server has refused, and leaves them out for a minute. Where none is
 * refused any more, all are left out: a refresh that they keep failing would never end.
 */
export async function noteRefusals(
  session: Session,
  settings: PostgresSettings,
  error: StatementError,
): Promise<void> {
  const found = await trySettings(session, settings)
  const all = Object.entries(settings).map(([name, value]) => ({name, value, error}))
  const known = recentRefusals(session) ?? {bySetting: new Map(), noticedAt: performance.now()}
  for (const refusal of found.length > 0 ? found : all) {
    known.bySetting.set(keyOf(refusal.name, refusal.value), refusal)
  }
  refusalsOf.set(session.origin, known)
}
