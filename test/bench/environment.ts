import {closeSync, existsSync, fdatasyncSync, openSync, readdirSync, readFileSync, writeSync} from 'node:fs'
import {availableParallelism, cpus, release, totalmem, type} from 'node:os'
import {join} from 'node:path'
import {packagedBinDir} from '../support/postgres-binaries.ts'
import {installedVersion} from './install.ts'
import {findNode24, findProgram, rootFolder, runProgram, temporaryFolder} from './programs.ts'
import {median} from './statistics.ts'

const DEBIAN_SERVERS = '/usr/lib/postgresql'
const WRITES = 200

/** What was measured, and on what: names and values in the order in which they are shown. */
export type Environment = readonly (readonly [name: string, value: string])[]

/** Looks around on this machine; takes a moment, in which it writes to the disk. */
export async function describeEnvironment(): Promise<Environment> {
  const [cpu] = cpus()
  return [
    ['date', new Date().toISOString().slice(0, 16).replace('T', ' ').concat(' UTC')],
    ['cpu', `${cpu?.model.trim() ?? 'unknown'}, ${availableParallelism()} cores`],
    ['memory', `${(totalmem() / 2 ** 30).toFixed(1)} GiB`],
    ['system', `${distribution()}, ${type()} ${release()}`],
    ['disk', `${flushMs().toFixed(2)} ms for a write of 8 kB to reach it (median of ${WRITES})`],
    ['ayb', versionOf(join(rootFolder, 'package.json'))],
    ['Node.js', process.version],
    ['Node.js, newer', await firstLine(findNode24(), ['--version'])],
    ['PostgreSQL', await firstLine(join(packagedBinDir(), 'postgres'), ['--version'])],
    ['psql', await firstLine(findPostgresProgram('psql'), ['--version'])],
    ['pgbench', await firstLine(findPostgresProgram('pgbench'), ['--version'])],
    ['pg', installedVersion('pg') ?? NOT_INSTALLED],
    ['graphile-worker', installedVersion('graphile-worker') ?? NOT_INSTALLED],
    ['pg-boss', installedVersion('pg-boss') ?? NOT_INSTALLED],
    ['pg_cron', describePgCron()],
  ]
}

const NOT_INSTALLED = 'not installed'

/**
 * A client program of PostgreSQL, `psql` or `pgbench`; null where it is not installed. What Debian has on the
 * PATH is a script in Perl that starts the one beside a server, and takes as long as the program itself.
 */
export function findPostgresProgram(name: string): string | null {
  const besideServers = debianServers().map((binDir) => join(binDir, name))
  return besideServers.find(existsSync) ?? findProgram(name)
}

/** The programs of a Debian server that has pg_cron, and the version of pg_cron; null where there is none. */
export function findPgCron(): {binDir: string; version: string} | null {
  const binDir = debianServers().find((folder) => existsSync(join(folder, '..', 'lib', 'pg_cron.so')))
  if (binDir === undefined) return null
  const control = join(
    '/usr/share/postgresql',
    binDir.split('/').at(-2) ?? '',
    'extension',
    'pg_cron.control',
  )
  const version = existsSync(control)
    ? /default_version = '(.+)'/.exec(readFileSync(control, 'utf8'))?.[1]
    : undefined
  return {binDir, version: version ?? 'unknown'}
}

/** Newest first. */
function debianServers(): string[] {
  if (!existsSync(DEBIAN_SERVERS)) return []
  const versions = readdirSync(DEBIAN_SERVERS).sort((a, b) => Number(b) - Number(a))
  return versions.map((version) => join(DEBIAN_SERVERS, version, 'bin'))
}

function describePgCron(): string {
  const found = findPgCron()
  return found ? `${found.version} in ${found.binDir}` : NOT_INSTALLED
}

async function firstLine(program: string | null, args: readonly string[]): Promise<string> {
  if (program === null) return NOT_INSTALLED
  return (await runProgram(program, args)).split('\n')[0] ?? ''
}

const versionOf = (manifest: string): string =>
  (JSON.parse(readFileSync(manifest, 'utf8')) as {version: string}).version

function distribution(): string {
  if (!existsSync('/etc/os-release')) return 'unknown'
  return /^PRETTY_NAME="?([^"\n]+)/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? 'unknown'
}

/** Refreshes of near-empty views are mostly this. */
function flushMs(): number {
  const file = openSync(join(temporaryFolder(), 'flushed'), 'w')
  try {
    const block = Buffer.alloc(8192, 1)
    const times = Array.from({length: WRITES}, () => {
      const startedAt = performance.now()
      writeSync(file, block, 0, block.length, 0)
      fdatasyncSync(file)
      return performance.now() - startedAt
    })
    return median(times)
  } finally {
    closeSync(file)
  }
}
