#!/usr/bin/env node
import module from 'node:module'
import {compileCacheFolder} from '../dist/cli/compile-cache.js'

// oclif's own debug output prints the command line, and with it the password of --database-url.
if (process.env.DEBUG) process.env.DEBUG += ',-oclif*'

// What was compiled once is not compiled again, where Node can keep it.
const cache = module.enableCompileCache ? compileCacheFolder(process.env) : null
if (cache !== null) module.enableCompileCache(cache)

const {main} = await import('../dist/cli/main.js')
await main(process.argv.slice(2))
