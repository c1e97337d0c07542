import type {Registration} from '../lib/records/registrations.ts'
import type {RunStatus} from '../lib/records/runs.ts'
import type {Style} from './terminal.ts'

const VIEW_IS_GONE = 'view is gone'

const STYLES: Record<RunStatus | typeof VIEW_IS_GONE, Style> = {
  success: 'green',
  error: 'red',
  canceled: 'yellow',
  skipped: 'yellow',
  [VIEW_IS_GONE]: 'red',
}

/** The status of the last refresh, or that the view is gone. */
type ShownStatus = keyof typeof STYLES

/** The status of a registration; null before its first refresh. */
export function registrationStatus(
  {lastRefreshStatus}: Registration,
  {exists}: {exists: boolean},
): ShownStatus | null {
  return exists ? lastRefreshStatus : VIEW_IS_GONE
}

export const statusStyle = (status: ShownStatus | null): Style | null =>
  status === null ? null : STYLES[status]

export const yesOrNo = (value: boolean): string => (value ? 'yes' : 'no')
