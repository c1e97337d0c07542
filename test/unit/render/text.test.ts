import fc from 'fast-check'
import {describe, expect, it} from 'vitest'
import {printable, printableName} from '../../../src/render/text.ts'

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
        expect(shown).not.toMatch(/[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\p{Bidi_Control}]/u)
        expect(printable(shown)).toBe(shown)
      }),
    )
  })
})

it('names a view as a command line takes it', () => {
  expect(printableName({schemaName: 'public', viewName: 'weekly stats'})).toBe('public."weekly stats"')
  expect(printableName({schemaName: 'public', viewName: 'a\u001bb'})).toBe('public."a\\x1bb"')
})
