import {describe, expect, test} from 'vitest'
import {parsePayload, payloadOf, viewOfPayload} from '../../../src/lib/payload.ts'

describe('a payload as a person writes it', () => {
  test.each([
    ['{"schema": "public", "view_name": "leaderboard"}', {schema: 'public', view_name: 'leaderboard'}],
    ['{"view_name": "leaderboard"}', {schema: 'public', view_name: 'leaderboard'}],
    ['{"schema": "Größe", "view_name": "週間"}', {schema: 'Größe', view_name: '週間'}],
    ['{"schema": "\\"Odd one\\"", "view_name": "\\"a.b\\""}', {schema: 'Odd one', view_name: 'a.b'}],
    ['{"view_name": "\\"say \\"\\"hi\\"\\"\\""}', {schema: 'public', view_name: 'say "hi"'}],
    [
      '{"view_name": "v", "note": {"a": [1, null, "\\\\u0000"]}, "schema": "s"}',
      {schema: 's', view_name: 'v', note: {a: [1, null, '\\u0000']}},
    ],
    ['{"view_name": "v", "emoji": "\\ud83d\\ude00"}', {schema: 'public', view_name: 'v', emoji: '😀'}],
  ])('%s is stored plain', (text, stored) => {
    expect(parsePayload(text)).toEqual(stored)
  })

  test.each([
    ['', 'is not JSON'],
    ['leaderboard', 'is not JSON'],
    ["{'view_name': 'v'}", 'is not JSON'],
    ['{"view_name": "v"', 'is not JSON'],
    ['[]', 'is not a JSON object'],
    ['[{"view_name": "v"}]', 'is not a JSON object'],
    ['null', 'is not a JSON object'],
    ['"leaderboard"', 'is not a JSON object'],
    ['5', 'is not a JSON object'],
    ['{}', '"view_name" in the payload is missing'],
    ['{"schema": "public"}', '"view_name" in the payload is missing'],
    ['{"view": "leaderboard"}', '"view_name" in the payload is missing'],
    ['{"view_name": null}', '"view_name" in the payload is missing'],
    ['{"view_name": 5}', '"view_name" in the payload is missing'],
    ['{"view_name": ["v"]}', '"view_name" in the payload is missing'],
    ['{"view_name": "v", "schema": 5}', '"schema" in the payload is not a text'],
    ['{"view_name": "v", "schema": null}', '"schema" in the payload is not a text'],
    [`{"view_name": "v", "note": ${'['.repeat(10_000)}${']'.repeat(10_000)}}`, 'nests 10001 levels deep'],
    ['{"view_name": "v", "note": "a\\u0000b"}', 'cannot store'],
    ['{"view_name": "v", "\\u0000": 1}', 'cannot store'],
    ['{"view_name": "v", "note": ["\\ud800"]}', 'cannot store'],
    ['{"view_name": "v", "note": "\\\\\\u0000"}', 'cannot store'],
  ])('%j is refused', (text, says) => {
    expect(() => parsePayload(text)).toThrow(
      expect.objectContaining({
        code: 'INVALID_ARGUMENT',
        message: expect.stringContaining(says),
        remedy: {kind: 'write-payload'},
      }),
    )
  })

  test.each(['12345678901234567890', '1e400', '0.12345678901234567890'])(
    'with the number %s, which JavaScript would change, is refused',
    (number) => {
      expect(() => parsePayload(`{"view_name": "v", "id": [{"a": ${number}}]}`)).toThrow(
        expect.objectContaining({
          code: 'INVALID_ARGUMENT',
          message: expect.stringContaining(`the number ${number} is too large, or has too many digits`),
          hint: 'write it as a text, in double quotes',
        }),
      )
    },
  )

  test.each([
    ['weekly stats', 'view name'],
    ['', 'view name'],
    ['""', 'view name'],
    ['v; drop table users', 'view name'],
    ['sales.top', 'view name'],
    ['a\u0000b', 'view name'],
    ['"a\nb"', 'view name'],
    ['"unfinished', 'view name'],
    ['1st', 'view name'],
    ['ж'.repeat(32), 'view name'],
  ])('the name %j is unsafe', (name, what) => {
    for (const [payload, part] of [
      [{view_name: name}, what],
      [{schema: name, view_name: 'v'}, 'schema name'],
    ] as const) {
      expect(() => parsePayload(JSON.stringify(payload))).toThrow(
        expect.objectContaining({code: 'INVALID_IDENTIFIER', message: expect.stringContaining(part)}),
      )
    }
  })

  test('a key that JavaScript gives a meaning stays a key', () => {
    const stored = parsePayload('{"__proto__": {"schema": "evil"}, "view_name": "v"}')
    expect(JSON.parse(JSON.stringify(stored))).toEqual(
      JSON.parse('{"__proto__": {"schema": "evil"}, "view_name": "v", "schema": "public"}'),
    )
    expect(stored.schema).toBe('public')
  })
})

describe('a payload as it is stored', () => {
  test('names the view that it was made for', () => {
    const view = {schemaName: 'Odd one', viewName: 'say "hi"'}
    expect(viewOfPayload(payloadOf(view))).toEqual(view)
  })

  test.each([
    [{view_name: 'v'}, {schemaName: 'public', viewName: 'v'}],
    [
      {view_name: 'v', schema: null},
      {schemaName: 'public', viewName: 'v'},
    ],
    [
      {view_name: 'weekly stats', schema: 's', more: 1},
      {schemaName: 's', viewName: 'weekly stats'},
    ],
  ])('%j names a view', (payload, view) => {
    expect(viewOfPayload(payload)).toEqual(view)
  })

  test.each([
    null,
    5,
    'v',
    [],
    {},
    {view_name: 5},
    {view_name: ''},
    {view_name: 'v', schema: 5},
    {view_name: 'v', schema: ''},
    {view_name: 'a\u0007b'},
    {view_name: 'x'.repeat(64)},
  ])('%j names none', (payload) => {
    expect(viewOfPayload(payload)).toBeNull()
  })
})
