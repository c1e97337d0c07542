/** The time zones that the browser knows. The server decides which zones are valid. */
export const ZONES: readonly string[] = [
  'UTC',
  ...Intl.supportedValuesOf('timeZone').filter((zone) => zone !== 'UTC'),
]

export const browserZone = (): string => Intl.DateTimeFormat().resolvedOptions().timeZone || 'UTC'
