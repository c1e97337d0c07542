/** Clients often refuse answers whose headers together are larger than 8 kB. */
const MOST_CHARS = 4000

/** Warnings as the value of a Warning header (RFC 7234), in ASCII: other characters as in JSON, \u00e4. */
export function warningHeader(warnings: readonly string[]): string {
  const values: string[] = []
  let chars = 0
  for (const [place, warning] of warnings.entries()) {
    const value = toValue(warning)
    chars += value.length
    if (chars > MOST_CHARS) {
      values.push(toValue(`${warnings.length - place} more: the log of the server has all`))
      break
    }
    values.push(value)
  }
  return values.join(', ')
}

const toValue = (text: string): string => `299 ayb ${JSON.stringify(text).replace(/[^ -~]/g, escaped)}`

const escaped = (char: string): string => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`
