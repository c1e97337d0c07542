import fc from 'fast-check'
import {describe, expect, test} from 'vitest'
import {commandLineHint} from '../../../src/cli/remedies.ts'
import {isAybError} from '../../../src/lib/errors.ts'
import {
  isUuid,
  parseIdentifier,
  parseViewName,
  parseViewReference,
  qualifiedName,
  quoteIdentifier,
  quoteViewName,
  shellWord,
} from '../../../src/lib/identifier.ts'

const isControl = (character: string) => /[\p{Cc}\p{Surrogate}]/u.test(character)

/** Any text that Postgres would keep as a name as it is, and that ayb allows. */
const name = fc
  .string({unit: 'grapheme', minLength: 1, maxLength: 20})
  .filter((text) => Buffer.byteLength(text) <= 63 && ![...text].some(isControl))

const refusal = (parse: () => unknown): string => {
  try {
    parse()
  } catch (error) {
    if (isAybError(error, 'INVALID_IDENTIFIER')) return commandLineHint(error) ?? ''
    throw error
  }
  throw new Error('was not refused')
}

describe('a view name', () => {
  test('is read back from how it is shown, whatever it holds', () => {
    fc.assert(
      fc.property(name, name, (schemaName, viewName) => {
        expect(parseViewName(qualifiedName({schemaName, viewName}))).toEqual({schemaName, viewName})
      }),
      {numRuns: 1000},
    )
  })

  test('is read from its quoted form, which SQL takes too', () => {
    fc.assert(
      fc.property(name, name, (schemaName, viewName) => {
        expect(parseViewName(quoteViewName({schemaName, viewName}))).toEqual({schemaName, viewName})
      }),
    )
  })

  test('is a name that is fit to be stored, or refused', () => {
    fc.assert(
      fc.property(fc.string({unit: 'binary', maxLength: 80}), (text) => {
        try {
          for (const part of Object.values(parseViewName(text))) {
            expect(Buffer.byteLength(part)).toBeGreaterThan(0)
            expect(Buffer.byteLength(part)).toBeLessThanOrEqual(63)
            expect([...part].some(isControl)).toBe(false)
          }
        } catch (error) {
          if (!isAybError(error, 'INVALID_IDENTIFIER')) throw error
        }
      }),
      {numRuns: 1000},
    )
  })

  test.each([
    ['leaderboard', 'public', 'leaderboard'],
    ['sales.Top', 'sales', 'Top'],
    ['"a.b".c', 'a.b', 'c'],
    ['a."b""c"', 'a', 'b"c'],
    ['größe.рейтинг', 'größe', 'рейтинг'],
    ['_$1', 'public', '_$1'],
  ])('%s is %s and %s', (text, schemaName, viewName) => {
    expect(parseViewName(text)).toEqual({schemaName, viewName})
  })

  test.each(['', '.', 'a.', '.a', 'a.b.c', 'a b', 'a-b', '1a', '"a', 'a"b"', '"a"b', '""', "a'b", 'a;b'])(
    'is not %j',
    (text) => {
      expect(refusal(() => parseViewName(text))).not.toBe('')
    },
  )

  test('is at most 63 bytes', () => {
    expect(parseViewName(`${'é'.repeat(31)}x`).viewName).toHaveLength(32)
    expect(refusal(() => parseViewName('é'.repeat(32)))).toContain('64 bytes')
  })

  test.each(['\u0000', '\u001b', '\u007f', '\u0085', '\ud800'])('holds no %j, quoted or not', (character) => {
    refusal(() => parseViewName(`a${character}`))
    expect(refusal(() => parseViewName(`"a${character}"`))).toContain('control character')
  })
})

describe('an identifier', () => {
  test('is one part alone', () => {
    expect(parseIdentifier('"a.b"', 'schema name')).toBe('a.b')
    expect(refusal(() => parseIdentifier('a.b', 'schema name'))).toContain('a dot separates')
  })

  test('is quoted for SQL so that it never ends early', () => {
    fc.assert(
      fc.property(fc.string({unit: 'binary'}), (text) => {
        const quoted = quoteIdentifier(text)
        expect(quoted).toMatch(/^"(?:[^"]|"")*"$/)
        expect(quoted.slice(1, -1).replaceAll('""', '"')).toBe(text)
      }),
    )
  })
})

describe('a reference', () => {
  test('is an id where it has the form of one', () => {
    fc.assert(
      fc.property(fc.uuid(), fc.boolean(), (id, isUpper) => {
        const typed = isUpper ? id.toUpperCase() : id
        expect(isUuid(typed)).toBe(true)
        expect(parseViewReference(typed)).toEqual({id})
        expect(parseViewReference(`"${id}"`)).toEqual({schemaName: 'public', viewName: id})
      }),
    )
  })

  test('is a name otherwise', () => {
    expect(parseViewReference('leaderboard')).toEqual({schemaName: 'public', viewName: 'leaderboard'})
  })
})

describe('a word for a shell', () => {
  test('is plain where nothing in it means something to a shell', () => {
    expect(shellWord('public.leaderboard')).toBe('public.leaderboard')
  })

  test('is in single quotes otherwise, out of which nothing gets', () => {
    fc.assert(
      fc.property(name, (text) => {
        const word = shellWord(text)
        const unquoted = word.replaceAll(/'([^']*)'|\\'/g, (part, inner?: string) => inner ?? part.slice(1))
        expect(unquoted).toBe(text)
        if (!word.startsWith("'")) expect(word).not.toMatch(/[\s"'\\$`!*?[\](){}<>|&;#~^]/)
      }),
    )
  })
})
