import {beforeAll, describe, expect, test} from 'vitest'
import {ERRORS, type ErrorCode} from '../../src/lib/errors.ts'
import {type AybResult, ayb, startAyb} from '../support/ayb.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {documentOf, parseFailure} from '../support/documents.ts'
import {SCENARIOS} from '../support/error-scenarios.ts'

const table = Object.entries(SCENARIOS).flatMap(([code, scenarios]) =>
  scenarios.map((scenario) => ({
    ...scenario,
    code: code as ErrorCode,
    what: [`${code}: ayb`, ...scenario.args, scenario.where].filter(Boolean).join(' '),
  })),
)

test('every code has a scenario', () => {
  const without = Object.keys(ERRORS).filter((code) => !SCENARIOS[code as ErrorCode]?.length)
  expect(without).toEqual([])
})

describe('as text and as JSON alike', () => {
  test.each(table)('$what', {timeout: 60_000}, async ({code, args, prepare, interfere, ...expected}) => {
    const db = await createTestDatabase()
    const options = {url: db.url, timeoutMs: 40_000, ...(await prepare?.(db))}
    const run = async (line: string[]): Promise<AybResult> => {
      const running = startAyb(line, options)
      await interfere?.(running, db)
      return running.done
    }
    const {status, exitCode} = ERRORS[code]

    const text = await run(args)
    expect({code: text.code, signal: text.signal}, text.stderr).toEqual({
      code: expected.exitCode ?? exitCode,
      signal: null,
    })
    expect(text.stdout).toBe('')
    const lines = text.stderr.replace(/\n$/, '').split('\n')
    expect(lines[0]).toMatch(/^Error: ./)
    expect(lines[0]?.slice('Error: '.length)).toMatch(expected.message)
    if (expected.hint === null) {
      expect(lines).toHaveLength(1)
    } else {
      expect(lines).toHaveLength(2)
      expect(lines[1]).toMatch(/^Hint: ./)
      expect(lines[1]?.slice('Hint: '.length)).toMatch(expected.hint)
    }

    const json = await run([...args, '--json'])
    expect(json.code).toBe(text.code)
    const failure = parseFailure(json)
    expect(failure).toMatchObject({code, status})
    expect(failure.message).toMatch(expected.message)
    if (expected.hint === null) expect(failure.hint).toBeNull()
    else expect(failure.hint).toMatch(expected.hint)
    expect(failure.details === null || typeof failure.details === 'object').toBe(true)
    for (const output of [text.stderr, json.stdout]) {
      expect(output).not.toMatch(/^\s+at |node_modules|\.js:\d+|hunter2/m)
    }
  })
})

describe('a bug', () => {
  let db: TestDatabase

  beforeAll(async () => {
    db = await createTestDatabase()
    await documentOf(['migrate'], db)
    await db.query('alter table _ayb_matview_refreshes rename column view_name to title')
  })

  test.each(['ayb*', '*', 'other,ayb*'])('shows its stack under DEBUG=%s', async (debug) => {
    const {code, stdout, stderr} = await ayb(['matviews', 'list', '--json'], {
      url: db.url,
      env: {DEBUG: debug},
    })
    expect(code).toBe(1)
    expect(JSON.parse(stdout)).toMatchObject({error: {code: 'INTERNAL'}})
    expect(stderr).toMatch(/^ {4}at /m)
  })

  test.each(['', 'oclif', 'other*'])('does not under DEBUG=%j', async (debug) => {
    const {stderr} = await ayb(['matviews', 'list'], {url: db.url, env: {DEBUG: debug}})
    expect(stderr).toContain('Error: ')
    expect(stderr).not.toMatch(/^ {4}at /m)
  })
})
