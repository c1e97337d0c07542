import * as fc from 'fast-check'
import {describe, expect, test} from 'vitest'
import {MessageLimits} from '../../../../src/db/connection/login/message-limits.ts'
import {header, message, READY} from '../../../support/scripted-server.ts'

const MEBIBYTE = 1024 * 1024
/** Passes over a body without making it. */
const body = (limits: MessageLimits, length: number) => {
  const piece = Buffer.alloc(MEBIBYTE)
  for (let left = length - 4; left > 0; left -= piece.length) limits.check(piece.subarray(0, left))
}

describe('a message', () => {
  test.each<[string, number]>([
    ['D', 64 * MEBIBYTE],
    ['E', 64 * MEBIBYTE],
    ['N', 64 * MEBIBYTE],
    ['T', 2 * MEBIBYTE],
    ['A', 30_000],
    ['C', 30_000],
    ['S', 30_000],
    ['Z', 30_000],
    ['?', 30_000],
  ])('%s is refused by its header if it is longer than %i bytes', (letter, most) => {
    const limits = new MessageLimits()
    limits.check(header(letter, most))
    body(limits, most)
    limits.check(READY)
    for (const length of [most + 1, 0x7fffffff, -1]) {
      expect(() => new MessageLimits().check(header(letter, length))).toThrow(
        'the server announced a message of',
      )
    }
  })

  test('is refused that says it has no length, or begins another log-in', () => {
    expect(() => new MessageLimits().check(header('Z', 3))).toThrow('broke the protocol')
    expect(() => new MessageLimits().check(message('R', Buffer.from([0, 0, 0, 3])))).toThrow(
      'broke the protocol',
    )
  })

  test('is found in whatever pieces it comes', () => {
    const good = fc
      .tuple(fc.constantFrom(...'DENTCZSA1'), fc.uint8Array({maxLength: 40}))
      .map(([letter, content]) => message(letter, Buffer.from(content)))
    fc.assert(
      fc.property(fc.array(good), fc.array(fc.integer({min: 1, max: 20})), (messages, cuts) => {
        const limits = new MessageLimits()
        const bytes = Buffer.concat([...messages, header('C', 30_001)])
        let at = 0
        // All but the last byte of the last header is in order.
        for (const cut of [...cuts, bytes.length]) {
          const end = Math.min(at + cut, bytes.length - 1)
          limits.check(bytes.subarray(at, end))
          at = end
        }
        expect(() => limits.check(bytes.subarray(at))).toThrow('announced a message of 30001 bytes')
      }),
    )
  })
})

describe('an answer', () => {
  test('is refused that is larger than 256 MB in all, however small its messages are', () => {
    const limits = new MessageLimits()
    const row = message('D', Buffer.alloc(900))
    const rows = Buffer.concat(Array<Buffer>(1000).fill(row))
    for (let sent = 0; sent < 250; sent++) limits.check(rows)
    expect(() => {
      for (let sent = 0; sent < 30; sent++) limits.check(rows)
    }).toThrow('the server answered with more than')
    const empty = Buffer.concat(Array<Buffer>(100_000).fill(header('T', 4)))
    expect(() => {
      for (let sent = 0; sent < 30; sent++) limits.check(empty)
    }).toThrow('the server answered with more than')
  })

  test('ends with ReadyForQuery, and notices do not count', () => {
    const limits = new MessageLimits()
    for (let round = 0; round < 3; round++) {
      for (let sent = 0; sent < 10; sent++) {
        for (const letter of 'DN') {
          limits.check(header(letter, 20 * MEBIBYTE))
          body(limits, 20 * MEBIBYTE)
        }
      }
      limits.check(READY)
    }
  })
})
