import {readFileSync, statSync} from 'node:fs'

/** The default socket directories: of Debian and Red Hat, then of PostgreSQL itself. */
export const SOCKET_DIRECTORIES: readonly string[] = ['/var/run/postgresql', '/run/postgresql', '/tmp']

/** The connection that needs a password. */
export interface PasswordKey {
  host: string
  port: number
  database: string
  user: string
}

/** The text of a password file; null without a usable file. `warning` says why a file was ignored. */
export function readPasswordFile(path: string): {text: string | null; warning: string | null} {
  const ignored = (why: string) => ({
    text: null,
    warning: `password file ${JSON.stringify(path)} is ignored: ${why}`,
  })
  try {
    const stat = statSync(path)
    if (!stat.isFile()) return ignored('it is not a plain file')
    if (process.platform !== 'win32' && (stat.mode & 0o077) !== 0) {
      return ignored('group or others have access to it; chmod 600 it')
    }
    return {text: readFileSync(path, 'utf8'), warning: null}
  } catch {
    return {text: null, warning: null}
  }
}

/** The password of the first line `host:port:database:user:password` that fits, as libpq reads it. */
export function findPassword(text: string, key: PasswordKey): string | undefined {
  const hosts = SOCKET_DIRECTORIES.includes(key.host) ? ['localhost', key.host] : [key.host]
  for (const raw of text.split('\n')) {
    const line = raw.replace(/(?<!\r)\r+$/, '')
    if (line === '' || line.startsWith('#')) continue
    for (const host of hosts) {
      const password = passwordOf(line, [host, String(key.port), key.database, key.user])
      if (password !== undefined) return password
    }
  }
  return undefined
}

function passwordOf(line: string, wanted: readonly string[]): string | undefined {
  let rest = line
  for (const value of wanted) {
    const field = /^((?:[^\\:]|\\.)*):/su.exec(rest)
    if (!field) return undefined
    const raw = field[1] as string
    if (raw !== '*' && unescaped(raw) !== value) return undefined
    rest = rest.slice(field[0].length)
  }
  return unescaped(/^(?:[^\\:]|\\.|\\$)*/su.exec(rest)?.[0] ?? '')
}

/** A lone backslash at the end stands for itself. */
const unescaped = (field: string): string => field.replace(/\\(.)/gsu, '$1')
