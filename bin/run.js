#!/usr/bin/env node
import {compileCacheFolder} from '../dist/cli/compile-cache.js'

// An import would read each export of the module.
const module = process.getBuiltinModule('node:module')
// What was compiled once is not compiled again, where Node can keep it.
const cache = module.enableCompileCache ? compileCacheFolder(process.env) : null
if (cache !== null) module.enableCompileCache(cache)

const {main} = await import('../dist/cli/main.js')
await main(process.argv.slice(2))
