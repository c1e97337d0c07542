import {existsSync, mkdirSync, realpathSync, statSync} from 'node:fs'
import {dirname, isAbsolute, join, relative} from 'node:path'

const STICKY = 0o1000
const OTHERS_WRITE = 0o022
const OTHERS = 0o077

/**
 * The folder for compiled code, made where it is missing, with symbolic links resolved. Null where there is none to use:
 * Node runs what lies there, so nobody else may be able to write to it, nor to replace a folder on the way to it.
 */
export function compileCacheFolder(env: NodeJS.ProcessEnv): string | null {
  const {XDG_CACHE_HOME, HOME, NODE_COMPILE_CACHE, NODE_DISABLE_COMPILE_CACHE} = env
  if (NODE_COMPILE_CACHE || NODE_DISABLE_COMPILE_CACHE || process.getuid === undefined) return null
  const base = XDG_CACHE_HOME || (HOME && join(HOME, '.cache'))
  if (!base || !isAbsolute(base)) return null
  try {
    return privateFolder(join(base, 'ayb', 'compiled'), process.getuid())
  } catch {
    // Nothing can be written there, or it is no folder.
    return null
  }
}

function privateFolder(path: string, uid: number): string | null {
  let existing = path
  while (!existsSync(existing)) existing = dirname(existing)
  const real = realpathSync(existing)
  if (!isClosedToOthers(real, uid)) return null
  const folder = join(real, relative(existing, path))
  // Not even readable for others: Node makes folders in it that are as open as the umask allows.
  if (existing !== path) mkdirSync(folder, {recursive: true, mode: 0o700})
  return (statSync(folder).mode & OTHERS) === 0 ? folder : null
}

/** Whether only this user and root can add to the folder, and rename or replace the folders above it. */
function isClosedToOthers(folder: string, uid: number): boolean {
  for (let current = folder; ; current = dirname(current)) {
    const stats = statSync(current)
    if (stats.uid !== uid && stats.uid !== 0) return false
    // In a folder such as /tmp others can add files, but cannot replace those of this user.
    const isFixed = current !== folder && (stats.mode & STICKY) !== 0
    if ((stats.mode & OTHERS_WRITE) !== 0 && !isFixed) return false
    if (current === dirname(current)) return true
  }
}
