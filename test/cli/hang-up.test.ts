import {once} from 'node:events'
import {type AddressInfo, connect, createServer} from 'node:net'
import {expect, onTestFinished, test} from 'vitest'
import {ayb} from '../support/ayb.ts'
import {documentOf} from '../support/documents.ts'
import {createRefreshDatabase} from '../support/refresh.ts'

/** A Terminate message of the protocol. */
const TERMINATE = Buffer.from([0x58, 0, 0, 0, 4])

/** Whoever waits for the server gives up 2 s behind the Terminate. A busy machine may need most of that. */
const SOONER_MS = 1900

/**
 * A server that keeps its connections after the programs have said goodbye. Tells when each program did, by
 * performance.now().
 */
async function startLingeringServer(server: {host: string; port: number}) {
  const goodbyes: number[] = []
  const listener = createServer({allowHalfOpen: true}, (program) => {
    const backend = connect(server.port, server.host)
    backend.on('data', (bytes) => program.write(bytes))
    backend.on('error', () => {})
    program.on('error', () => {})
    program.on('close', () => backend.destroy())
    program.on('data', (bytes) => {
      if (bytes.subarray(-TERMINATE.length).equals(TERMINATE)) goodbyes.push(performance.now())
      else backend.write(bytes)
    })
  })
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  onTestFinished(() => void listener.close())
  return {port: (listener.address() as AddressInfo).port, goodbyes}
}

test.each([
  [['matviews', 'list'], 0],
  [['matviews', 'refresh', 'leaderboard', '--json'], 0],
  [['matviews', 'show', 'nothing'], 3],
])('%j ends without waiting for the server to hang up', async (args, code) => {
  const db = await createRefreshDatabase()
  await documentOf(['matviews', 'register', 'leaderboard', '--if-not-exists'], db)
  const {port, goodbyes} = await startLingeringServer(db)
  const url = new URL(db.url)
  url.host = `127.0.0.1:${port}`
  const result = await ayb(args, {url: url.href})
  const endedAt = performance.now()
  expect(result.code).toBe(code)
  expect(goodbyes).toHaveLength(1)
  expect(endedAt - (goodbyes[0] as number)).toBeLessThan(SOONER_MS)
})
