import {beforeAll, describe, expect, test} from 'vitest'
import {ayb} from '../support/ayb.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {failureOf, parseFailure} from '../support/documents.ts'

/** What is no name, whichever command it is given to. */
const UNSAFE: {what: string; name: string}[] = [
  {what: 'an empty text', name: ''},
  {what: 'nothing between quotes', name: '""'},
  {what: 'nothing behind the dot', name: 'public.'},
  {what: 'nothing before the dot', name: '.leaderboard'},
  {what: 'three parts', name: 'a.b.c'},
  {what: 'two dots', name: 'public..leaderboard'},
  {what: 'a space', name: 'weekly stats'},
  {what: 'a space at the end', name: 'leaderboard '},
  {what: 'a dash', name: 'leader-board'},
  {what: 'a digit at the beginning', name: '1leaderboard'},
  {what: 'a dollar at the beginning', name: '$1'},
  {what: 'an unquoted emoji', name: '🏆'},
  {what: 'a combining mark alone', name: '\u0301a'},
  {what: 'an invisible space', name: 'leader\u200bboard'},
  {what: '64 bytes', name: 'x'.repeat(64)},
  {what: '64 bytes in fewer letters', name: 'ж'.repeat(32)},
  {what: '64 bytes in quotes', name: `"${'x'.repeat(64)}"`},
  {what: 'a line break', name: 'leader\nboard'},
  {what: 'a quoted line break', name: '"leader\nboard"'},
  {what: 'a quoted tab', name: '"leader\tboard"'},
  {what: 'a quoted escape', name: '"\u001b[31mred"'},
  {what: 'a quoted delete', name: '"\u007f"'},
  {what: 'a quote that does not end', name: '"leaderboard'},
  {what: 'a quote in the middle', name: 'leader"board"'},
  {what: 'something behind the quote', name: '"leader"board'},
  {what: 'a single quote', name: `leaderboard' or '1'='1`},
  {what: 'a second statement', name: 'leaderboard; drop table users'},
  {what: 'a comment', name: 'leaderboard--'},
  {what: 'a way out of the quotes', name: '"leaderboard"; drop table users; --"'},
  {what: 'a path', name: '../../etc/passwd'},
  {what: 'a UUID with something behind it', name: '550e8400-e29b-41d4-a716-446655440000x'},
]

describe('a name that is unsafe', () => {
  let db: TestDatabase
  let before: unknown

  const snapshot = () =>
    db.query(
      `select c.relname, c.relkind, c.oid, (select count(*)::int from users) as users
         from pg_class c where c.relnamespace = 'public'::regnamespace order by c.oid`,
    )

  beforeAll(async () => {
    db = await createTestDatabase()
    before = await snapshot()
  })

  // Each is one and the same parser behind the commands, so they take turns.
  const commands = [
    ['register'],
    ['show'],
    ['refresh'],
    ['update', '--mode', 'standard'],
    ['unregister'],
    ['history'],
  ]

  test.each(UNSAFE)('is refused: $what', async ({name}) => {
    const command = commands[UNSAFE.findIndex((other) => other.name === name) % commands.length] ?? []
    const line = ['matviews', ...command, '--json', '--', name]
    const {code, message, hint, status} = parseFailure(await ayb(line, db))
    expect(code).toBe('INVALID_IDENTIFIER')
    expect(message).toBe(`${JSON.stringify(name)} is not a valid view name`)
    expect({status, hasHint: hint !== null}).toEqual({status: 400, hasHint: true})
  })

  test.each([
    ['register', '--view', 'public.leaderboard'],
    ['register', '--view', ''],
    ['register', '--view', 'leaderboard', '--schema', 'public; drop table users'],
    ['register', '--view', 'leaderboard', '--schema', ''],
    ['list', '--schema', 'a.b'],
    ['list', '--schema', `x' or true --`],
  ])('is refused as a flag: %s %s %s', async (...line) => {
    const {message} = await failureOf(['matviews', ...line], 'INVALID_IDENTIFIER', db)
    expect(message).toMatch(/is not a valid (view|schema) name$/)
  })

  test('is refused as AYB_SYSTEM_SCHEMA', async () => {
    const env = {AYB_SYSTEM_SCHEMA: 'x"; drop table users; --'}
    const failure = await failureOf(['matviews', 'list'], 'INVALID_IDENTIFIER', {url: db.url, env})
    expect(failure.message).toContain('AYB_SYSTEM_SCHEMA')
  })

  test('changes nothing', async () => {
    expect(await snapshot()).toEqual(before)
  })
})
