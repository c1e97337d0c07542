import {changeSettings, type Setting} from '../../lib/postgres-settings.ts'
import type {Registration} from '../../lib/records/registrations.ts'
import type {RefreshMode} from '../../lib/records/values.ts'

/** One way to refresh a view. */
export interface Candidate {
  mode: RefreshMode
  /** All of them, those of the view included. */
  settings: Record<string, string>
}

/** What is tried where nobody says what. */
const USUAL: readonly Setting[] = [
  {name: 'work_mem', value: '64MB'},
  {name: 'work_mem', value: '256MB'},
  {name: 'jit', value: 'off'},
]

/**
 * What to try for a view: as it is now, then with each setting, in each of the modes. The mode of now comes
 * first. Ways that are the same are tried once.
 */
export function candidatesFor(
  {policy}: Pick<Registration, 'policy'>,
  modes: readonly RefreshMode[],
  tries: readonly Setting[],
): Candidate[] {
  const own = policy?.settings ?? {}
  const ways = [{}, ...(tries.length === 0 ? USUAL : tries).map(({name, value}) => ({[name]: value}))]
  const all = modes.flatMap((mode) =>
    ways.map((changes) => ({mode, settings: {...changeSettings(own, changes)}})),
  )
  return [...new Map(all.map((each) => [JSON.stringify([each.mode, each.settings]), each])).values()]
}
