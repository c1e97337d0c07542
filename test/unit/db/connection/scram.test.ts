import {createHash, createHmac, pbkdf2Sync} from 'node:crypto'
import {describe, expect, test} from 'vitest'
import {type ChannelBinding, ScramExchange} from '../../../../src/db/connection/login/scram.ts'

const NONCE = 'rOprNGfwEbeRWgbNEkqO'
const BOUND: ChannelBinding = {header: 'p=tls-server-end-point,,', data: Buffer.from([1, 2, 3])}
const begin = (binding: ChannelBinding = {header: 'n,,'}) => new ScramExchange('pencil', binding, NONCE)
/** The nonce, salt and rounds of the example in RFC 7677. */
const challenge = (more = '%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0', rounds = '4096') =>
  `r=${NONCE}${more},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=${rounds}`

describe('SCRAM', () => {
  test('sends no name, a new nonce each time, and what it is bound to', () => {
    expect(begin().first).toBe(`n,,n=,r=${NONCE}`)
    expect(begin({header: 'y,,'}).first).toBe(`y,,n=,r=${NONCE}`)
    expect(begin(BOUND).first).toBe(`p=tls-server-end-point,,n=,r=${NONCE}`)
    const first = () => new ScramExchange('x', {header: 'n,,'}).first
    expect(first()).toMatch(/^n,,n=,r=[A-Za-z0-9+/]{24}$/)
    expect(first()).not.toBe(first())
  })

  test('proves the password, and takes the server for real that signs with it', async () => {
    for (const [binding, c] of [
      [{header: 'n,,'}, 'biws'],
      [{header: 'y,,'}, 'eSws'],
      [BOUND, Buffer.from('p=tls-server-end-point,,\u0001\u0002\u0003').toString('base64')],
    ] as [ChannelBinding, string][]) {
      const exchange = begin(binding)
      const withoutProof = `c=${c},${challenge().split(',')[0]}`
      const {proof, signature} = answersOf(`n=,r=${NONCE},${challenge()},${withoutProof}`)
      expect(await exchange.respond(challenge())).toBe(`${withoutProof},p=${proof}`)
      expect(() => exchange.verify(`v=${signature}`)).not.toThrow()
      expect(() => exchange.verify(`v=${proof}`)).toThrow('its signature is wrong')
    }
  })

  test('ignores extensions, which are signed like all else', async () => {
    const exchange = begin()
    const extended = `${challenge()},x=y\u00e9`
    const withoutProof = `c=biws,${challenge().split(',')[0]}`
    const {proof, signature} = answersOf(`n=,r=${NONCE},${extended},${withoutProof}`)
    expect(await exchange.respond(extended)).toBe(`${withoutProof},p=${proof}`)
    expect(() => exchange.verify(`v=${signature},x=y`)).not.toThrow()
  })

  test.each([
    ['another nonce', `r=x${NONCE}y,s=W22Z,i=1`, 'its nonce is another one'],
    ['the same nonce', challenge(''), 'its nonce is another one'],
    ['a shorter nonce', `r=${NONCE.slice(1)},s=W22Z,i=1`, 'its nonce is another one'],
    ['no nonce', 's=W22Z,i=1', 'not SCRAM'],
    ['a nonce that is no text', `r=${NONCE}\u0001,s=W22Z,i=1`, 'not SCRAM'],
    ['an extension that has to be understood', `m=1,${challenge()}`, 'not SCRAM'],
    ['no salt', `r=${NONCE}x,i=1`, 'not SCRAM'],
    ['a salt that is not base64', `r=${NONCE}x,s=%,i=1`, 'not SCRAM'],
    ['no rounds', challenge('x', '0'), 'not SCRAM'],
    ['rounds that are no number', challenge('x', '1e3'), 'not SCRAM'],
    ['one round more than is done', challenge('x', '5000001'), 'asks for 5000001 rounds of SCRAM'],
    ['rounds without end', challenge('x', '9'.repeat(400)), 'rounds of SCRAM'],
    ['nothing', '', 'not SCRAM'],
  ])('refuses %s', async (_, text, why) => {
    await expect(begin().respond(text)).rejects.toThrow(why)
  })

  test.each([
    ['an error', 'e=unknown-user', 'the server ended the log-in: unknown-user'],
    ['nothing', '', 'not SCRAM'],
    ['a signature that is too short', 'v=AAAA', 'not SCRAM'],
    ['a signature of nothing', `v=${Buffer.alloc(32).toString('base64')}`, 'its signature is wrong'],
  ])('refuses %s at the end', async (_, text, why) => {
    const exchange = begin()
    await exchange.respond(challenge())
    expect(() => exchange.verify(text)).toThrow(why)
  })

  test('refuses an end before there was a challenge', () => {
    expect(() => begin().verify(`v=${Buffer.alloc(32).toString('base64')}`)).toThrow('not SCRAM')
  })
})

/** RFC 5802, section 3, for the password and the salt of these tests. */
function answersOf(signed: string): {proof: string; signature: string} {
  const salted = pbkdf2Sync('pencil', Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64'), 4096, 32, 'sha256')
  const hmac = (key: Buffer, text: string) => createHmac('sha256', key).update(text, 'latin1').digest()
  const clientKey = hmac(salted, 'Client Key')
  const clientSignature = hmac(createHash('sha256').update(clientKey).digest(), signed)
  const proof = Buffer.from(clientKey.map((byte, index) => byte ^ (clientSignature[index] ?? 0)))
  return {
    proof: proof.toString('base64'),
    signature: hmac(hmac(salted, 'Server Key'), signed).toString('base64'),
  }
}
