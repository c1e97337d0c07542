import {describe, expect, test} from 'vitest'
import {LineCounter} from 'yaml'
import {parseText} from '../../../../src/core/apply/yaml-text.ts'

const parse = (text: string) => parseText(text, new LineCounter())
const MANY = 20_000

describe('a text that is not YAML', () => {
  test.each([
    ['commas', `[${','.repeat(MANY)}]`, 'UNEXPECTED_TOKEN'],
    ['unknown tags', '- !x 1\n'.repeat(MANY), 'TAG_RESOLVE_FAILED'],
    ['maps in one line', 'a: b: c\n'.repeat(MANY), 'BLOCK_AS_IMPLICIT_KEY'],
    ['directives', '%x\n'.repeat(MANY), 'BAD_DIRECTIVE'],
  ])('is read to its hundredth error: %s', (_, text, code) => {
    const {problems, contents} = parse(text)
    expect(problems).toHaveLength(100)
    expect(problems[0]?.code).toBe(code)
    expect(contents).toBeNull()
  })

  test.each([
    ['brackets', '['.repeat(MANY), 100],
    ['braces', '{a: '.repeat(MANY), 400],
    ['dashes', '- '.repeat(MANY), 200],
    ['questions', '? '.repeat(MANY), 200],
  ])('is not read where it nests too deep: %s', (_, text, offset) => {
    expect(parse(text).problems).toMatchObject([{code: 'RESOURCE_EXHAUSTION', pos: [offset, offset + 1]}])
  })

  test('holds one document', () => {
    expect(parse('a: 1\n---\n'.repeat(MANY)).problems).toMatchObject([{code: 'MULTIPLE_DOCS', pos: [5, 14]}])
  })
})

test('JSON in one line, and what looks like nesting in texts, does not nest', () => {
  const views = Object.fromEntries(Array.from({length: 300}, (_, n) => [`public.v${n}`, {set: {a: '[[['}}]))
  for (const text of [JSON.stringify({views}), `a: |\n${'  - [\n'.repeat(300)}`, `a: "${'['.repeat(300)}"`]) {
    expect(parse(text)).toMatchObject({problems: [], contents: {items: [expect.anything()]}})
  }
})
