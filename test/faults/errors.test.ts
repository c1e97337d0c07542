import {beforeAll, describe, expect, test} from 'vitest'
import {ERRORS, type ErrorCode} from '../../src/lib/errors.ts'
import {ayb} from '../support/ayb.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {
  expectDocument,
  expectText,
  runScenario,
  SCENARIO_TABLE,
  SCENARIOS,
} from '../support/error-scenarios.ts'

test('every code has a scenario', () => {
  const without = Object.keys(ERRORS).filter((code) => !SCENARIOS[code as ErrorCode]?.length)
  expect(without).toEqual([])
})

describe('as JSON', () => {
  test.each(SCENARIO_TABLE)('$what', {timeout: 60_000}, async (scenario) => {
    const [json] = await runScenario(scenario, [['--json']])
    expectDocument(json, scenario)
  })
})

test('as text, with its hint', {timeout: 60_000}, async () => {
  const [scenario] = SCENARIO_TABLE.filter(({code}) => code === 'VIEW_NOT_FOUND')
  if (!scenario) throw new Error('no view that is not found')
  const [text] = await runScenario(scenario, [[]])
  expectText(text, scenario)
})

describe('a bug', () => {
  let db: TestDatabase

  beforeAll(async () => {
    db = await createTestDatabase({hasTables: true})
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
