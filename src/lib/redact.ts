/** The user of a URL, and the colons around the name. */
const URL_USER = /:\/\/[^\s/?#:@'"]*:/g

/** The name of a setting that holds a password, and the `=` behind the name. */
const PASSWORD_SETTING = /\b(?:ssl|pg)?password\s*=\s*/gi

/**
 * Replaces the password of every URL and every `password=` setting in a text. Takes time in proportion to the
 * length: one expression for a whole URL took a minute for 200 kB without a space.
 */
export function redact(text: string): string {
  // Most texts of a log are short names, of which there are several for each refresh.
  if (!text.includes('=') && !text.includes('://')) return text
  return redactSettings(redactUrls(text))
}

/**
 * The password of a URL ends at the last `@` that no space comes before: it may hold any other character, an
 * `@` too.
 */
function redactUrls(text: string): string {
  let redacted = ''
  let copied = 0
  let wordEnd = 0
  for (const {0: user, index} of text.matchAll(URL_USER)) {
    // The rest of the word belongs to the password, or has no `@` after it either.
    if (index < wordEnd) continue
    const start = index + user.length
    wordEnd = endOfRun(/\S*/y, text, start)
    const at = text.slice(start, wordEnd).lastIndexOf('@')
    if (at === -1) continue
    redacted += `${text.slice(copied, start)}***`
    copied = start + at
  }
  return redacted + text.slice(copied)
}

function redactSettings(text: string): string {
  let redacted = ''
  let copied = 0
  for (const {0: setting, index} of text.matchAll(PASSWORD_SETTING)) {
    // A password can hold what looks like a setting.
    if (index < copied) continue
    const start = index + setting.length
    const end = endOfQuoted(text, start) ?? endOfUnquoted(text, start)
    if (end === start) continue
    redacted += `${text.slice(copied, start)}***`
    copied = end
  }
  return redacted + text.slice(copied)
}

/** Behind the closing quote of a value; null for a value without quotes, or with only one. */
function endOfQuoted(text: string, start: number): number | null {
  if (text[start] !== "'") return null
  for (let at = start + 1; at < text.length; at++) {
    if (text[at] === '\\') at++
    else if (text[at] === "'") return at + 1
  }
  return null
}

function endOfUnquoted(text: string, start: number): number {
  let end = endOfRun(/[^\s&"\\]*/y, text, start)
  while (text[end] === '\\') end = endOfRun(/[^\s&"\\]*/y, text, end + 2)
  return Math.min(end, text.length)
}

/** Where the run of characters ends that begins there. */
function endOfRun(run: RegExp, text: string, start: number): number {
  run.lastIndex = start
  return run.test(text) ? run.lastIndex : start
}
