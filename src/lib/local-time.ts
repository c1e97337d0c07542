/** An instant in the zone of this machine: `2026-03-01 13:00:00 +0100`. */
export function localTime(instant: Date): string {
  const date = [instant.getFullYear(), instant.getMonth() + 1, instant.getDate()]
  const [year, month, day] = date.map((part) => String(part).padStart(2, '0'))
  // `13:00:00 GMT+0100 (…)`
  const [clock, zone = ''] = instant.toTimeString().split(' ')
  return `${year}-${month}-${day} ${clock} ${zone.replace('GMT', '')}`
}
