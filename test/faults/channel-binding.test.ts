import {once} from 'node:events'
import {mkdtempSync, readFileSync, rmSync} from 'node:fs'
import {type AddressInfo, connect as connectSocket, createServer, type Socket} from 'node:net'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {connect as connectTls, TLSSocket} from 'node:tls'
import {afterAll, beforeAll, expect, test} from 'vitest'
import {connect} from '../../src/db/connection/connect.ts'
import {type Certificate, selfSign} from '../support/certificates.ts'
import {connectOutcome, expectSame, type Outcome, psqlOutcome} from '../support/connection-outcome.ts'
import {startTlsServer, type TlsServer} from '../support/tls-server.ts'

const HOME = mkdtempSync(join(tmpdir(), 'ayb-binding-'))
const ENCRYPTED = {result: 'encrypted', reasons: []}
let server: TlsServer

beforeAll(async () => {
  server = await startTlsServer()
}, 60_000)

afterAll(async () => {
  await server?.stop()
  rmSync(HOME, {recursive: true})
})

async function sameOutcome(query: string, port = server.port): Promise<Outcome> {
  const {user, password} = server
  const url = `postgres://${user}:${password}@127.0.0.1:${port}/postgres?sslmode=require${query}`
  const psql = await psqlOutcome({url, env: {HOME}})
  expectSame(await connectOutcome({url, env: {HOME}}), psql, query)
  return psql
}

// The hash of a certificate goes by its signature, and the server makes the same of it, or refuses.
test.each<[string, string[], object]>([
  ['RSA with SHA-256', ['-sha256'], ENCRYPTED],
  ['RSA with SHA-384', ['-sha384'], ENCRYPTED],
  ['RSA with SHA-512', ['-sha512'], ENCRYPTED],
  ['RSA with SHA-1', ['-sha1'], ENCRYPTED],
  ['RSA-PSS with SHA-256', ['-sha256', '-sigopt', 'rsa_padding_mode:pss'], ENCRYPTED],
  ['RSA-PSS with SHA-512', ['-sha512', '-sigopt', 'rsa_padding_mode:pss'], ENCRYPTED],
  ['ECDSA with SHA-256', ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'], ENCRYPTED],
  ['ECDSA with SHA-384', ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:secp384r1', '-sha384'], ENCRYPTED],
  ['Ed25519', ['-newkey', 'ed25519'], {result: 'refused', reasons: ['certificate without a hash']}],
])('a log-in is bound to a certificate that is signed with %s, as by psql', async (name, signing, bound) => {
  await server.show(selfSign(name.replaceAll(' ', '-'), {name: 'localhost'}, signing))
  expect(await sameOutcome('&channel_binding=require')).toEqual(bound)
  expect(await sameOutcome('')).toEqual(bound)
  expect(await sameOutcome('&channel_binding=disable')).toEqual(ENCRYPTED)
})

test('who stands between is noticed, with another certificate, and where the binding is hidden', async () => {
  await server.show(selfSign('genuine', {name: 'localhost'}))
  const between = selfSign('between', {name: 'localhost'})
  for (const isHiding of [false, true]) {
    const relay = await startRelay(between, isHiding)
    expect(await sameOutcome('', relay.port)).toEqual({result: 'refused', reasons: ['not let in']})
    const required = {result: 'refused', reasons: [isHiding ? 'no channel binding' : 'not let in']}
    expect(await sameOutcome('&channel_binding=require', relay.port)).toEqual(required)
    // Nobody asked for protection.
    expect(await sameOutcome('&channel_binding=disable', relay.port)).toEqual(ENCRYPTED)
    // psql would try again in the clear.
    const {user, password} = server
    const url = `postgres://${user}:${password}@127.0.0.1:${relay.port}/postgres?sslmode=prefer`
    const before = relay.sessions()
    await expect(connect({databaseUrl: url, env: {HOME}, applicationName: 'ayb test'})).rejects.toMatchObject(
      {
        code: 'CONNECTION_FAILED',
        details: {sqlstate: '28000'},
        hint: expect.stringContaining('somebody stands between'),
      },
    )
    expect(relay.sessions() - before).toBe(1)
    await relay.close()
  }
})

/**
 * Takes TLS off on one side and puts it on again on the other; can leave the mechanism that binds out of the
 * offer.
 */
async function startRelay({crt, key}: Certificate, isHiding: boolean) {
  const sockets = new Set<Socket>()
  const hold = <T extends Socket>(socket: T): T => {
    sockets.add(socket)
    socket.on('error', () => socket.destroy())
    return socket
  }
  let sessions = 0
  const listener = createServer(async (socket) => {
    sessions++
    hold(socket)
    const upstream = hold(connectSocket(server.port, '127.0.0.1'))
    const [request] = (await once(socket, 'data')) as [Buffer]
    upstream.write(request)
    const [answer] = (await once(upstream, 'data')) as [Buffer]
    socket.write(answer)
    const client = hold(
      new TLSSocket(socket, {isServer: true, cert: readFileSync(crt), key: readFileSync(key)}),
    )
    const genuine = hold(connectTls({socket: upstream, rejectUnauthorized: false}))
    client.pipe(genuine)
    genuine.on('data', (bytes: Buffer) => {
      const isOffer = isHiding && bytes[0] === 0x52 && bytes.readInt32BE(5) === 10
      client.write(isOffer ? OFFER_WITHOUT_BINDING : bytes)
    })
    client.on('close', () => genuine.destroy())
    genuine.on('close', () => client.destroy())
  })
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  return {
    port: (listener.address() as AddressInfo).port,
    sessions: () => sessions,
    async close() {
      for (const socket of sockets) socket.destroy()
      listener.close()
      await once(listener, 'close')
    },
  }
}

const OFFER_WITHOUT_BINDING = Buffer.from('R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0', 'latin1')
