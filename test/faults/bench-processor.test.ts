import {type ChildProcess, spawn} from 'node:child_process'
import {once} from 'node:events'
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {createInterface} from 'node:readline'
import {expect, test} from 'vitest'
import {startMeter} from '../bench/processor.ts'

const SINCE_MS = 100
/** Far more: on a busy machine the kernel's part and other threads come on top of what is counted here. */
const BEFORE_MS = 2000
/**
 * Works for so long before it says that it is ready, and for so long once it is told to go on; then it waits.
 */
const PROGRAM = `
const work = (ms) => { while (process.cpuUsage().user / 1000 < ms); }
work(${BEFORE_MS})
console.log('ready ' + process.cpuUsage().user)
process.stdin.once('data', () => { work(process.cpuUsage().user / 1000 + ${SINCE_MS}); console.log('result') })
`

/** What the benchmark asks of a server, with this process in the place of the postmaster. */
async function withServer(work: (server: {dataDir: string}) => Promise<void>): Promise<void> {
  const dataDir = mkdtempSync(join(tmpdir(), 'ayb-meter-'))
  writeFileSync(join(dataDir, 'postmaster.pid'), `${process.pid}\n`)
  try {
    await work({dataDir})
  } finally {
    rmSync(dataDir, {recursive: true})
  }
}

async function withProgram(work: (program: ChildProcess, lines: AsyncIterator<string>) => Promise<void>) {
  const program = spawn(process.execPath, ['-e', PROGRAM], {stdio: ['pipe', 'pipe', 'inherit']})
  const ended = once(program, 'exit')
  try {
    await work(program, createInterface(program.stdout)[Symbol.asyncIterator]())
  } finally {
    program.kill('SIGKILL')
    await ended
  }
}

test.runIf(process.platform === 'linux')(
  'what a client worked before it said that it is ready is no part of its processor time',
  () =>
    withServer((server) =>
      withProgram(async (program, lines) => {
        const ready: string = (await lines.next()).value
        expect(Number(ready.replace('ready ', '')) / 1000).toBeGreaterThanOrEqual(BEFORE_MS)

        const usedSince = startMeter(server, [program.pid ?? 0])
        program.stdin?.write('go on')
        expect((await lines.next()).value).toBe('result')
        const used = usedSince(1)
        expect(used?.clientMs).toBeGreaterThanOrEqual(SINCE_MS - 50)
        expect(used?.clientMs).toBeLessThan(BEFORE_MS)
      }),
    ),
)

test.runIf(process.platform === 'linux')('programs that ended count with all that they worked', () =>
  withServer(async (server) => {
    const usedSince = startMeter(server, 'ended')
    const work = `while (process.cpuUsage().user / 1000 < ${4 * SINCE_MS});`
    await once(spawn(process.execPath, ['-e', work], {stdio: 'inherit'}), 'exit')
    expect(usedSince(1)?.clientMs).toBeGreaterThanOrEqual(4 * SINCE_MS - 50)
  }),
)
