import {existsSync, readFileSync} from 'node:fs'
import {badSettings} from '../connection-error.ts'
import {type Conninfo, isSetting} from './conninfo.ts'

/** Where distributions of libpq keep the file of all users. */
const SYSTEM_DIRECTORIES = ['/etc/postgresql-common', '/etc/sysconfig/pgsql', '/usr/local/pgsql/etc', '/etc']

/**
 * The settings of a named service: from the one file that was named, or else the user's own file, and then
 * the system's.
 * @throws AybError CONNECTION_FAILED
 */
export function readService(
  service: string,
  env: NodeJS.ProcessEnv,
  home: string | undefined,
  file: string | undefined,
): Conninfo {
  const named = file || env.PGSERVICEFILE
  if (named && !existsSync(named)) {
    throw badSettings(`service file ${JSON.stringify(named)} does not exist`, 'check PGSERVICEFILE')
  }
  const systemDirectories = env.PGSYSCONFDIR ? [env.PGSYSCONFDIR] : SYSTEM_DIRECTORIES
  const files = [
    named || (home ? `${home}/.pg_service.conf` : ''),
    ...systemDirectories.map((dir) => `${dir}/pg_service.conf`),
  ]
  for (const path of files) {
    if (path === '' || !existsSync(path)) continue
    const settings = parseServiceFile(read(path), service, path)
    if (settings) return settings
  }
  throw badSettings(`service ${JSON.stringify(service)} is not defined`, {remedy: {kind: 'check-service'}})
}

/**
 * The settings under `[service]`, the first of a name winning, or undefined where there is no such section.
 * @throws AybError CONNECTION_FAILED
 */
export function parseServiceFile(text: string, service: string, path: string): Conninfo | undefined {
  let settings: Conninfo | undefined
  for (const [index, raw] of text.split('\n').entries()) {
    const line = raw.trim()
    if (line === '' || line.startsWith('#')) continue
    if (line.startsWith('[')) {
      if (settings) return settings
      if (line.startsWith(`[${service}]`)) settings = new Map()
      continue
    }
    if (!settings) continue
    const equals = line.indexOf('=')
    const name = line.slice(0, equals)
    // The message leaves the line out: it may hold a password.
    if (equals < 0 || !isSetting(name) || name.startsWith('service')) {
      throw badSettings(
        `service file ${JSON.stringify(path)}, line ${index + 1}, is not a setting`,
        'write name=value without spaces around the =, with the names of libpq',
      )
    }
    if (!settings.has(name)) settings.set(name, line.slice(equals + 1))
  }
  return settings
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    throw badSettings(`service file ${JSON.stringify(path)} cannot be read`, 'check its permissions')
  }
}
