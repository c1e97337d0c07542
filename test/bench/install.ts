import {createHash} from 'node:crypto'
import {existsSync, readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {benchFolder, benchModules, startProgram} from './programs.ts'

/** Says from which lock file the modules were installed: npm would look at each of them. */
const STAMP = join(benchModules, '.installed-from')

/**
 * Installs what ayb is measured beside, unless just that is installed. Where it cannot be, it says so: the
 * measurements go on without it. Returns whether all is installed.
 */
export async function installPeers(say: (text: string) => void): Promise<boolean> {
  const wanted = createHash('sha256')
    .update(readFileSync(join(benchFolder, 'package-lock.json')))
    .digest('hex')
  if (existsSync(STAMP) && readFileSync(STAMP, 'utf8') === wanted) return true
  say('npm ci in test/bench')
  // Half of it wants a newer Node.js than this may be; it runs on the one that is installed with it.
  const npm = startProgram('npm', ['ci', '--loglevel=error', '--no-audit', '--no-fund'], {
    cwd: benchFolder,
    env: inherited(),
  })
  const code = await npm.ended.catch((error: Error) => error.message)
  if (code === 0) writeFileSync(STAMP, wanted)
  else say(`npm ci failed (${code}), so some columns will be empty:\n${npm.output()}`)
  return code === 0
}

/** npm has its settings, a proxy among them, in the environment. */
const inherited = (): Record<string, string> =>
  Object.fromEntries(
    Object.entries(process.env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  )

/** Whether that package of the benchmark is installed. */
export const isInstalled = (name: string): boolean => existsSync(join(benchModules, name, 'package.json'))

/** Its version; null where it is not installed. */
export function installedVersion(name: string): string | null {
  if (!isInstalled(name)) return null
  const manifest = readFileSync(join(benchModules, name, 'package.json'), 'utf8')
  return (JSON.parse(manifest) as {version: string}).version
}
