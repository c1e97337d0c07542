import fc from 'fast-check'
import {describe, expect, it} from 'vitest'
import {printable, printableJson} from '../../../src/lib/printable.ts'

/** What a terminal acts on. */
const UNSAFE = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\p{Bidi_Control}]/u

describe('printable', () => {
  it.each([
    ['tab\tline\r\n', 'tab\\tline\\r\\n'],
    ['\u001b[31mred\u0007', '\\x1b[31mred\\x07'],
    ['\u009b31m \u007f \u0000', '\\x9b31m \\x7f \\x00'],
    ['gnp.\u202eexe \u2066x\u2069 \u200f', 'gnp.\\u202eexe \\u2066x\\u2069 \\u200f'],
    ['one\u2028two\u2029', 'one\\u2028two\\u2029'],
    ['half \ud83d a pair', 'half \\ud83d a pair'],
  ])('writes out what a terminal would act on: %j', (text, expected) => {
    expect(printable(text)).toBe(expected)
  })

  it('leaves everything else as it is', () => {
    const text = 'O\'Brien "週間" cafe\u0301 👩‍👩‍👧‍👦 🏋️ a\\tb שלום'
    expect(printable(text)).toBe(text)
  })

  it('holds for any text, and once is enough', () => {
    fc.assert(
      fc.property(fc.string({unit: 'binary'}), (text) => {
        const shown = printable(text)
        expect(shown).not.toMatch(UNSAFE)
        expect(printable(shown)).toBe(shown)
      }),
    )
  })
})

describe('printable JSON', () => {
  it('escapes what JSON.stringify leaves', () => {
    expect(printableJson({a: 'gnp.\u202eexe \u009b31m \u007f é'})).toBe(
      '{"a":"gnp.\\u202eexe \\u009b31m \\u007f é"}',
    )
  })

  it('is read as the same document, and holds nothing that a terminal acts on but line breaks', () => {
    const indents = fc.constantFrom(undefined, 2)
    fc.assert(
      fc.property(fc.jsonValue({stringUnit: 'binary'}), indents, (document, indent) => {
        const text = printableJson(document, indent)
        expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(document)))
        expect(text.replaceAll('\n', '')).not.toMatch(UNSAFE)
      }),
    )
  })
})
