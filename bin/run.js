#!/usr/bin/env node
// oclif's own debug output prints the command line, and with it the password of --database-url.
if (process.env.DEBUG) process.env.DEBUG += ',-oclif*'

const {main} = await import('../dist/cli/main.js')
await main(process.argv.slice(2))
