import fc from 'fast-check'
import {describe, expect, test} from 'vitest'
import {ExactJson, inspectJson, parseExactly, stringifyExactly} from '../../../src/lib/exact-json.ts'

const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth)

/** Numbers that JSON.parse changes. */
const INEXACT = [
  ...['12345678901234567890', '-9007199254740993', '9007199254740993.0', '0.1234567890123456789', '1e400'],
  ...['-1e400', '1e-400', '0.30000000000000001', `1${'0'.repeat(50)}1`, '123456789012345678e3'],
]
const EXACT = [
  ...['0', '-0', '0.0', '0e5', '1', '-1', '1.0', '1e5', '1E+5', '100e-2', '0.1', '1.50', '9007199254740991'],
  ...['9007199254740992', '1e21', '1e-7', '5e-324', '1.7976931348623157e308', '123e-20', '-2.50e+3'],
]

/** The integer that the text of a number stands for, such as 1.5e+21. */
function integerOf(text: string): bigint {
  const [mantissa = '', exponent = '0'] = text.split('e')
  const [whole = '', fraction = ''] = mantissa.split('.')
  return BigInt(whole + fraction + '0'.repeat(Number(exponent) - fraction.length))
}

describe('JSON that goes out as it came in', () => {
  test.each(INEXACT)('keeps %s', (number) => {
    const text = `{"a":["12345678901234567890",${number}],"b":"\\"1e400"}`
    expect(inspectJson(text)).toEqual({depth: 2, inexactNumber: number})
    const parsed = parseExactly(text)
    expect(parsed).toBeInstanceOf(ExactJson)
    expect(stringifyExactly({id: 1, payload: parsed, list: [parsed]})).toBe(
      `{"id":1,"payload":${text},"list":[${text}]}`,
    )
    expect(JSON.parse(stringifyExactly({payload: parsed}, 2))).toEqual({payload: JSON.parse(text)})
  })

  test.each(EXACT)('is plain for %s', (number) => {
    expect(inspectJson(`[${number}]`).inexactNumber).toBeNull()
    expect(parseExactly(`{"a":${number}}`)).toEqual({a: Number(number)})
  })

  test('takes any number of digits and levels in time that grows with the length', () => {
    for (const text of [
      nested(100_000),
      `[${'0.'.padEnd(1_000_000, '0')}1]`,
      `["${'\\"'.repeat(500_000)}",1e400]`,
    ]) {
      const startedAt = performance.now()
      expect(stringifyExactly([parseExactly(text)])).toBe(`[${text}]`)
      expect(performance.now() - startedAt).toBeLessThan(5000)
    }
  })

  test('is told how deep it nests', () => {
    expect(inspectJson('5')).toEqual({depth: 0, inexactNumber: null})
    expect(inspectJson('[{"a":[1]},[],{"]":"[[["}]').depth).toBe(3)
    expect(parseExactly(nested(100))).not.toBeInstanceOf(ExactJson)
    expect(parseExactly(nested(101))).toBeInstanceOf(ExactJson)
  })

  test('is what JSON.stringify writes for everything that JavaScript can hold', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const text = JSON.stringify(value)
        expect(inspectJson(text).inexactNumber).toBeNull()
        expect(stringifyExactly(parseExactly(text))).toBe(text)
      }),
    )
  })

  test('of random digits is inexact where JavaScript writes another number, and only there', () => {
    fc.assert(
      fc.property(fc.bigInt({min: -(10n ** 30n), max: 10n ** 30n}), (value) => {
        const isSame = integerOf(String(Number(value))) === value
        expect(inspectJson(String(value)).inexactNumber).toBe(isSame ? null : String(value))
      }),
    )
  })

  test('cannot be forged by a text that looks like a marked one', () => {
    const mark = JSON.parse(JSON.stringify(new ExactJson('1e400', 0))) as string
    expect(mark).toMatch(/^exact-json-[0-9a-f-]{36}:1e400$/)
    const forged = {payload: `exact-json-${crypto.randomUUID()}:{}`}
    expect(stringifyExactly(forged)).toBe(JSON.stringify(forged))
  })
})
