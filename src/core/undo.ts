import {isAybError} from '../lib/errors.ts'
import {ExactJson} from '../lib/exact-json.ts'
import {parseViewName, qualifiedName, quoteIfNeeded, shellWord} from '../lib/identifier.ts'
import {parsePayload, viewOfPayload} from '../lib/payload.ts'
import {printable, printableJson} from '../lib/printable.ts'
import type {Registration, Schedule, ViewPolicy} from '../lib/records.ts'
import {checkInput, MOST_ATTEMPTS} from './schedule-input.ts'

/**
 * The command that creates a schedule as it is, as a shell takes it; null where ayb would refuse one of its
 * values, which another program wrote.
 */
export function createCommand(schedule: Schedule): string | null {
  return commandOrNull(() => {
    const {name, cronExpr, timezone, enabled, maxAttempts, payload} = schedule
    const target = targetFlag(payload)
    if (target === null || maxAttempts > MOST_ATTEMPTS) return null
    const input = checkInput({name, cron: cronExpr, timezone})
    return [
      ...['ayb', 'schedules', 'create', flag('name', input.name), flag('cron', input.cron)],
      ...[flag('timezone', input.timezone), target, flag('max-attempts', String(maxAttempts))],
      ...(enabled ? [] : ['--no-enabled']),
    ].join(' ')
  })
}

/** The command that registers a view as it is, as a shell takes it; null where ayb would refuse its name. */
export function registerCommand(registration: Registration): string | null {
  return commandOrNull(() => {
    const name = qualifiedName(registration)
    parseViewName(name)
    const {refreshMode, policy} = registration
    const command = [
      'ayb',
      'matviews',
      'register',
      shellWord(name),
      flag('mode', policy?.mode ?? refreshMode),
    ]
    return [...command, ...(policy === null ? [] : policyFlags(policy))].join(' ')
  })
}

function policyFlags({
  settings,
  maxAgeMs,
  refreshTimeoutMs,
  lockTimeoutMs,
  lockRetryForMs,
}: ViewPolicy): string[] {
  const limits = {
    'max-age': maxAgeMs,
    'refresh-timeout': refreshTimeoutMs,
    'lock-timeout': lockTimeoutMs,
    'lock-retry-for': lockRetryForMs,
  }
  return [
    ...Object.entries(settings).map(([name, value]) => flag('set', `${name}=${value}`)),
    ...Object.entries(limits).flatMap(([name, ms]) => (ms === null ? [] : [flag(name, `${ms}ms`)])),
  ]
}

/**
 * Null, too, where a terminal would not show the command as it is: whoever pastes it would run another one.
 */
function commandOrNull(compose: () => string | null): string | null {
  try {
    const command = compose()
    return command !== null && printable(command) === command ? command : null
  } catch (error) {
    if (isAybError(error)) return null
    throw error
  }
}

/** With `=` where the value would pass for a flag. */
const flag = (name: string, value: string): string =>
  value.startsWith('-') ? shellWord(`--${name}=${value}`) : `--${name} ${shellWord(value)}`

/** `--view` where that says all; else the payload, in which a command line has names in double quotes. */
function targetFlag(payload: unknown): string | null {
  const view = viewOfPayload(payload)
  if (view === null || payload instanceof ExactJson) return null
  const others = Object.keys(payload as object).filter((key) => key !== 'schema' && key !== 'view_name')
  if (others.length === 0) return flag('view', qualifiedName(view))
  const names = {schema: quoteIfNeeded(view.schemaName), view_name: quoteIfNeeded(view.viewName)}
  const text = printableJson({...(payload as object), ...names})
  parsePayload(text)
  return flag('payload', text)
}
