#!/usr/bin/env node
import module from 'node:module'
import {isAbsolute, join} from 'node:path'

// oclif's own debug output prints the command line, and with it the password of --database-url.
if (process.env.DEBUG) process.env.DEBUG += ',-oclif*'

// What was compiled once is not compiled again, where Node can keep it. Not in Node's own choice, a folder that every
// user of the machine can write to: what lies in it is run.
const {XDG_CACHE_HOME = '', HOME = ''} = process.env
const caches = isAbsolute(XDG_CACHE_HOME)
  ? XDG_CACHE_HOME
  : isAbsolute(HOME)
    ? join(HOME, '.cache')
    : undefined
if (caches) module.enableCompileCache?.(join(caches, 'ayb'))

const {main} = await import('../dist/cli/main.js')
await main(process.argv.slice(2))
