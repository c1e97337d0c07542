import {badSettings} from '../connection-error.ts'

/** Settings under libpq's names. An empty value is a setting too: it hides what comes after it. */
export type Conninfo = Map<string, string>

/** The environment variable of each setting that has one. */
export const PG_VARIABLES: Readonly<Record<string, string>> = {
  host: 'PGHOST',
  hostaddr: 'PGHOSTADDR',
  port: 'PGPORT',
  dbname: 'PGDATABASE',
  user: 'PGUSER',
  password: 'PGPASSWORD',
  passfile: 'PGPASSFILE',
  require_auth: 'PGREQUIREAUTH',
  channel_binding: 'PGCHANNELBINDING',
  options: 'PGOPTIONS',
  sslmode: 'PGSSLMODE',
  sslnegotiation: 'PGSSLNEGOTIATION',
  sslcert: 'PGSSLCERT',
  sslkey: 'PGSSLKEY',
  sslcertmode: 'PGSSLCERTMODE',
  sslrootcert: 'PGSSLROOTCERT',
  sslcrl: 'PGSSLCRL',
  sslcrldir: 'PGSSLCRLDIR',
  sslsni: 'PGSSLSNI',
  requirepeer: 'PGREQUIREPEER',
  ssl_min_protocol_version: 'PGSSLMINPROTOCOLVERSION',
  ssl_max_protocol_version: 'PGSSLMAXPROTOCOLVERSION',
  gssencmode: 'PGGSSENCMODE',
  connect_timeout: 'PGCONNECT_TIMEOUT',
  target_session_attrs: 'PGTARGETSESSIONATTRS',
  load_balance_hosts: 'PGLOADBALANCEHOSTS',
}

/**
 * libpq's settings without a variable that matters here; those that ayb decides itself are read and dropped.
 */
const OTHER_SETTINGS = [
  'service',
  'servicefile',
  'sslpassword',
  'replication',
  'keepalives',
  'keepalives_idle',
  'keepalives_interval',
  'keepalives_count',
  'tcp_user_timeout',
  'application_name',
  'fallback_application_name',
  'client_encoding',
  'sslcompression',
  'krbsrvname',
  'gsslib',
  'gssdelegation',
  'min_protocol_version',
  'max_protocol_version',
  'sslkeylogfile',
  'scram_client_key',
  'scram_server_key',
]

/** libpq refuses these, but frameworks put them into DATABASE_URL for their own drivers and pools. */
const FOREIGN_SETTINGS = new Set([
  'schema',
  'pgbouncer',
  'connection_limit',
  'pool_timeout',
  'pool_size',
  'socket_timeout',
  'statement_cache_size',
  'uselibpqcompat',
])

const KNOWN_SETTINGS = new Set([...Object.keys(PG_VARIABLES), ...OTHER_SETTINGS])

/** What other drivers call `sslmode=require` and `sslmode=disable`. */
const SSL_VALUES: Readonly<Record<string, string>> = {
  true: 'require',
  '1': 'require',
  false: 'disable',
  '0': 'disable',
}

const ENCODE_HINT = 'write @ : / ? # and % inside a user, password or name as %40 %3A %2F %3F %23 and %25'
const EXAMPLE_HINT = "write postgresql://user@host:5432/database, or 'host=... dbname=... user=...'"

/** Whether libpq knows a setting of that name. */
export const isSetting = (name: string): boolean => KNOWN_SETTINGS.has(name)

/**
 * The settings of a `postgresql://` URL or of a `key=value` string, as libpq reads them.
 * `source` names the string in errors; the string itself, which can hold a password, is never in them.
 * @throws AybError CONNECTION_FAILED
 */
export function parseConnectionString(text: string, source: string): Conninfo {
  if (/^\s*(["'])postgres(ql)?:\/\/.*\1\s*$/is.test(text)) {
    throw malformed(source, 'it is in quotes', 'leave out the quotes around it: only a shell takes them away')
  }
  const scheme = /^\s*([a-z][a-z0-9+.-]*):\/\//i.exec(text)
  if (scheme) {
    if (!/^postgres(ql)?$/i.test(scheme[1] as string)) {
      throw malformed(source, `${scheme[1]}:// is not PostgreSQL's scheme`, EXAMPLE_HINT)
    }
    return parseUrl(text.slice(scheme[0].length).trimEnd(), source)
  }
  if (!text.includes('=')) throw malformed(source, 'neither a URL nor key=value settings', EXAMPLE_HINT)
  return parsePairs(text, source)
}

/** libpq's own reading, not WHATWG's: several hosts, encoded socket directories, and no fragments. */
function parseUrl(text: string, source: string): Conninfo {
  const settings: Conninfo = new Map()
  const set = (name: string, raw: string) => {
    if (raw !== '') settings.set(name, decode(raw, source))
  }

  const credentials = /^([^@/:]*)(?::([^@/]*))?@/.exec(text)
  set('user', credentials?.[1] ?? '')
  set('password', credentials?.[2] ?? '')

  let rest = text.slice(credentials?.[0].length ?? 0)
  // Text before a second @ is most likely the end of a password, which errors would show as a host or
  // database.
  if (/^[^?]*@/.test(rest)) throw malformed(source, 'it has an @ too many', ENCODE_HINT)

  const hosts: string[] = []
  const ports: string[] = []
  for (;;) {
    const netloc = /^(?:\[([^\]]*)\]|((?!\[)[^:/?,]*))(?::([^/?,]*))?(?=[,/?]|$)/.exec(rest)
    if (!netloc || netloc[1] === '')
      throw malformed(source, 'it has a broken IPv6 address', 'write it as [::1]')
    hosts.push(netloc[1] ?? netloc[2] ?? '')
    ports.push(netloc[3] ?? '')
    rest = rest.slice(netloc[0].length)
    if (!rest.startsWith(',')) break
    rest = rest.slice(1)
  }
  set('host', hosts.join(','))
  set('port', ports.join(','))

  const path = /^\/([^?]*)/.exec(rest)
  set('dbname', path?.[1] ?? '')
  rest = rest.slice(path?.[0].length ?? 0)
  if (rest.startsWith('?')) {
    // Without the @, the password stands in the place of the port, up to a bare ? in it.
    const arePorts = ports.every((port) => /^\d*$/.test(port))
    readQuery(rest.slice(1), {settings, source, isNameSafe: arePorts})
  }
  return settings
}

/** The settings that were read so far, and whose. */
interface Reading {
  settings: Conninfo
  /** Names the string in errors. */
  source: string
  /** Whether errors may show the name of a setting: it cannot be a part of a password. */
  isNameSafe: boolean
}

function readQuery(query: string, reading: Reading): void {
  const {source} = reading
  // The end of a password with a bare ? is here.
  if (query.includes('@')) reading.isNameSafe = false
  if (query === '') return
  for (const pair of query.replace(/&$/, '').split('&')) {
    const parts = pair.split('=')
    if (parts.length !== 2) {
      throw malformed(
        source,
        'a parameter after the ? is not name=value',
        `separate them with &; ${ENCODE_HINT}`,
      )
    }
    const name = decode(parts[0] as string, source)
    store(reading, name, decode(parts[1] as string, source))
  }
}

/**
 * `host=h password='with \' quote'`: spaces around `=`, single quotes, and backslashes before any character.
 */
function parsePairs(text: string, source: string): Conninfo {
  const reading: Reading = {settings: new Map(), source, isNameSafe: true}
  const pair =
    /[ \t-\r]*([^= \t-\r]+)[ \t-\r]*=[ \t-\r]*(?:'((?:[^'\\]|\\.)*)'|((?!')(?:[^ \t-\r\\]|\\.|\\$)*))/sy
  while (/[^ \t-\r]/.test(text.slice(pair.lastIndex))) {
    const match = pair.exec(text)
    if (!match) {
      throw malformed(
        source,
        'a setting is not name=value, or a quote is not closed',
        "put values with spaces in single quotes, with \\' and \\\\ inside",
      )
    }
    const name = match[1] as string
    const value = (match[2] ?? match[3] ?? '').replace(/\\(.?)/gs, '$1')
    store(reading, name, value)
  }
  return reading.settings
}

function store(reading: Reading, name: string, value: string): void {
  const {settings, source, isNameSafe} = reading
  if (name === 'ssl') {
    const mode = SSL_VALUES[value]
    if (mode === undefined)
      throw malformed(source, 'ssl is neither true nor false', 'better: sslmode=require')
    settings.set('sslmode', mode)
  } else if (isSetting(name)) {
    settings.set(name, value)
  } else if (!FOREIGN_SETTINGS.has(name)) {
    const which = isNameSafe ? `unknown setting ${JSON.stringify(name)}` : 'it has an unknown setting'
    throw malformed(
      source,
      which,
      'the names are those of libpq, such as sslmode, connect_timeout or options',
    )
  }
  // The rest of a password with an unquoted space, or a bare &, would be the next name.
  if (isSecret(name)) reading.isNameSafe = false
}

const isSecret = (name: string): boolean => name === 'password' || name === 'sslpassword'

function decode(raw: string, source: string): string {
  // Any % that no two hexadecimal digits follow, and a NUL, which no setting can hold.
  if (/%(?![0-9a-f]{2})|%00/i.test(raw)) throw malformed(source, 'it has a broken % escape', ENCODE_HINT)
  try {
    return decodeURIComponent(raw)
  } catch {
    throw malformed(source, 'its % escapes are not UTF-8', ENCODE_HINT)
  }
}

const malformed = (source: string, what: string, hint: string) =>
  badSettings(`${source} is not a valid connection string: ${what}`, hint)
