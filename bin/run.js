#!/usr/bin/env node
import {statSync} from 'node:fs'
import module from 'node:module'
import {isAbsolute, join} from 'node:path'

// oclif's own debug output prints the command line, and with it the password of --database-url.
if (process.env.DEBUG) process.env.DEBUG += ',-oclif*'

// What was compiled once is not compiled again, where Node can keep it. What lies there is run, so not in Node's own
// choice, a folder that every user can write to, nor in any that is somebody else's.
const {XDG_CACHE_HOME = '', HOME = ''} = process.env
if (isPrivate(XDG_CACHE_HOME)) module.enableCompileCache?.(join(XDG_CACHE_HOME, 'ayb'))
else if (!XDG_CACHE_HOME && isPrivate(HOME)) module.enableCompileCache?.(join(HOME, '.cache', 'ayb'))

const {main} = await import('../dist/cli/main.js')
await main(process.argv.slice(2))

function isPrivate(folder) {
  try {
    const {uid, mode} = statSync(folder)
    return isAbsolute(folder) && uid === process.getuid?.() && (mode & 0o022) === 0
  } catch {
    return false
  }
}
