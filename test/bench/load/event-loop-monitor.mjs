// Loaded into a process by --import: measures for how long at a stretch its event loop served nobody. Begins anew at
// SIGUSR2, and tells on stderr when the process exits.
import {writeSync} from 'node:fs'

const INTERVAL_MS = 2

let worst = {blockedMs: 0, cpuMs: 0}
let lastAt = performance.now()
let lastCpu = process.cpuUsage()

const timer = setInterval(look, INTERVAL_MS)
timer.unref()
process.on('SIGUSR2', () => {
  look()
  worst = {blockedMs: 0, cpuMs: 0}
})
process.on('exit', () => {
  writeSync(2, `longest block ${JSON.stringify(worst)}\n`)
})

/** What was worked in the meantime tells a loop that was busy from a machine that was. */
function look() {
  const now = performance.now()
  const cpu = process.cpuUsage()
  const blockedMs = now - lastAt - INTERVAL_MS
  if (blockedMs > worst.blockedMs) {
    worst = {blockedMs, cpuMs: (cpu.user - lastCpu.user + cpu.system - lastCpu.system) / 1000}
  }
  lastAt = now
  lastCpu = cpu
}
