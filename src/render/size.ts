const UNITS = ['bytes', 'kB', 'MB', 'GB', 'TB', 'PB']

/** Bytes for people, in steps of 1024 like `pg_size_pretty`: `812 bytes`, `8 kB`, `12.3 MB`. */
export function formatBytes(bytes: number): string {
  let amount = bytes
  let unit = 0
  // 1023.6 would round to 1024.
  while (Math.round(amount) >= 1024 && unit < UNITS.length - 1) {
    amount /= 1024
    unit++
  }
  const digits = amount < 99.95 ? amount.toFixed(1).replace(/\.0$/, '') : amount.toFixed(0)
  return `${digits} ${UNITS[unit]}`
}
