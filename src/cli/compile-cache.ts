import {existsSync, mkdirSync, realpathSync, statSync} from 'node:fs'
import {dirname, isAbsolute, join, relative} from 'node:path'

const STICKY = 0o1000
const OTHERS_WRITE = 0o022
const OTHERS = 0o077

/**
 * The folder for compiled code, with symbolic links resolved. Creates the folder if it is missing. Node runs
 * the code in the folder, so the result is null if somebody else could write to the folder or replace a
 * folder above it.
 */
export function compileCacheFolder(env: NodeJS.ProcessEnv): string | null {
  const {XDG_CACHE_HOME, HOME, NODE_COMPILE_CACHE, NODE_DISABLE_COMPILE_CACHE} = env
  if (NODE_COMPILE_CACHE || NODE_DISABLE_COMPILE_CACHE || process.getuid === undefined) return null
  const base = XDG_CACHE_HOME || (HOME && join(HOME, '.cache'))
  if (!base || !isAbsolute(base)) return null
  try {
    return privateFolder(join(base, 'ayb', 'compiled'), process.getuid())
  } catch {
    // The folder cannot be written, or the path is not a folder.
    return null
  }
}

function privateFolder(path: string, uid: number): string | null {
  let existing = path
  while (!existsSync(existing)) existing = dirname(existing)
  const real = realpathSync(existing)
  if (!isClosedToOthers(real, uid)) return null
  const folder = join(real, relative(existing, path))
  // 0700, since Node creates subfolders with the permissions of the umask.
  if (existing !== path) mkdirSync(folder, {recursive: true, mode: 0o700})
  return (statSync(folder).mode & OTHERS) === 0 ? folder : null
}

/** Whether only this user and root can write to the folder, or rename or replace the folders above it. */
function isClosedToOthers(folder: string, uid: number): boolean {
  for (let current = folder; ; current = dirname(current)) {
    const stats = statSync(current)
    if (stats.uid !== uid && stats.uid !== 0) return false
    // A sticky folder such as /tmp lets others add files, but not replace the files of this user.
    const isFixed = current !== folder && (stats.mode & STICKY) !== 0
    if ((stats.mode & OTHERS_WRITE) !== 0 && !isFixed) return false
    if (current === dirname(current)) return true
  }
}
