import {beforeAll, describe, expect, test} from 'vitest'
import {ayb} from '../support/ayb.ts'
import type {TestDatabase} from '../support/database.ts'
import {createTestDatabase} from '../support/database.ts'
import {insertJob} from '../support/jobs.ts'
import {register} from '../support/refresh.ts'
import type {LogLine} from '../support/worker.ts'

const WARNING = 'the server warns: careful: of rows'

let db: TestDatabase

beforeAll(async () => {
  db = await createTestDatabase({hasTables: true})
  await db.query(`create function warn(n int, text text) returns int language plpgsql as $$
    begin
      raise notice 'nothing to see';
      raise warning '%', text using detail = 'of rows';
      return n;
    end $$;
    create materialized view warns as
      select public.warn(n, 'careful') as n from generate_series(1, 3) n with no data;
    create materialized view shouts as
      select public.warn(n, repeat(n::text, 20000)) as n from generate_series(10, 200) n with no data`)
  await register(db, 'warns')
  await register(db, 'shouts')
})

describe('warnings of the server', () => {
  test('are those of a command, each once, and without notices', async () => {
    const result = await ayb(['matviews', 'refresh', 'warns', '--json'], {url: db.url})
    expect(result.json()).toMatchObject({warnings: [WARNING]})
    const text = await ayb(['matviews', 'refresh', 'warns'], {url: db.url})
    expect(text).toMatchObject({code: 0, stderr: `Warning: ${WARNING}\n`})
  })

  test('are bounded in number and length', async () => {
    const result = await ayb(['matviews', 'refresh', 'shouts', '--json'], {url: db.url})
    const {warnings} = result.json() as {warnings: string[]}
    expect(warnings).toHaveLength(20)
    expect(Math.max(...warnings.map(({length}) => length))).toBeLessThanOrEqual(8192)
  })

  test('are in the log of a worker', async () => {
    await insertJob(db, {view_name: 'warns'})
    const result = await ayb(['worker', '--once', '--json'], {url: db.url})
    expect(result.code, result.stderr).toBe(0)
    const lines = result.stderr
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as LogLine)
    expect(lines.filter(({level}) => level === 'warn').map(({msg}) => msg)).toEqual([WARNING])
  })
})
