// Loaded into a process by --import: at SIGUSR2, collects garbage and tells on stderr what is left, in bytes.
import {writeSync} from 'node:fs'
import {setFlagsFromString} from 'node:v8'
import {runInNewContext} from 'node:vm'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc')

process.on('SIGUSR2', () => {
  collect()
  // What waited to be finalized is free by then.
  setTimeout(() => {
    collect()
    writeSync(2, `heap in use ${process.memoryUsage().heapUsed}\n`)
  }, 50)
})
