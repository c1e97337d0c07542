import {writtenDuration} from '../lib/duration.ts'
import {isViewName, qualifiedName, shellWord} from '../lib/identifier.ts'
import {scopeParts} from '../lib/payload.ts'
import {printable} from '../lib/printable.ts'
import type {Registration, ViewPolicy} from '../lib/records/registrations.ts'
import type {ScheduleRequest} from '../lib/schedule-request.ts'

/**
 * The command that creates the schedule, to be pasted into a shell; null where a terminal would not show the
 * command as it is, or where there is no request.
 */
export function createCommand(request: ScheduleRequest | null): string | null {
  if (request === null) return null
  const {name, cron, maxAgeMs, timezone, enabled, maxAttempts, target, jitterMs, catchUp, notDuring} = request
  const {isCascade, isWithDependencies} = scopeParts(request.scope)
  const timing = maxAgeMs === null ? flag('cron', cron) : flag('max-age', String(writtenDuration(maxAgeMs)))
  return pastable([
    ...['ayb', 'schedules', 'create', flag('name', name), timing, flag('timezone', timezone)],
    'view' in target ? flag('view', qualifiedName(target.view)) : flag('payload', target.payload),
    ...(isCascade ? ['--cascade'] : []),
    ...(isWithDependencies ? ['--with-dependencies'] : []),
    flag('max-attempts', String(maxAttempts)),
    ...(jitterMs === null ? [] : [flag('jitter', String(writtenDuration(jitterMs)))]),
    ...(catchUp === 'latest' ? [] : [flag('catch-up', catchUp)]),
    ...notDuring.map((time) => flag('not-during', time)),
    ...(enabled ? [] : ['--no-enabled']),
  ])
}

/**
 * The command that registers the view with the same mode and settings, to be pasted into a shell; null where
 * ayb would refuse the name, or a terminal would not show the command as it is.
 */
export function registerCommand(registration: Registration): string | null {
  const name = qualifiedName(registration)
  if (!isViewName(name)) return null
  const {refreshMode, policy} = registration
  return pastable([
    ...['ayb', 'matviews', 'register', shellWord(name), flag('mode', policy?.mode ?? refreshMode)],
    ...(policy === null ? [] : policyFlags(policy)),
  ])
}

function policyFlags({
  settings,
  maxAgeMs,
  skipUnchanged,
  refreshAtLeastEveryMs,
  refreshTimeoutMs,
  lockTimeoutMs,
  lockRetryForMs,
}: ViewPolicy): string[] {
  const limits = {
    'max-age': maxAgeMs,
    'refresh-at-least-every': refreshAtLeastEveryMs,
    'refresh-timeout': refreshTimeoutMs,
    'lock-timeout': lockTimeoutMs,
    'lock-retry-for': lockRetryForMs,
  }
  return [
    ...Object.entries(settings).map(([name, value]) => flag('set', `${name}=${value}`)),
    ...(skipUnchanged ? ['--skip-unchanged'] : []),
    ...Object.entries(limits).flatMap(([name, ms]) =>
      ms === null ? [] : [flag(name, String(writtenDuration(ms)))],
    ),
  ]
}

/** With `=` where the value would pass for a flag. */
const flag = (name: string, value: string): string =>
  value.startsWith('-') ? shellWord(`--${name}=${value}`) : `--${name} ${shellWord(value)}`

/** Null where a terminal would not show the command as it is: whoever pastes it would run another command. */
function pastable(words: readonly string[]): string | null {
  const command = words.join(' ')
  return printable(command) === command ? command : null
}
