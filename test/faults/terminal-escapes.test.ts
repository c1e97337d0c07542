import {beforeAll, describe, expect, test} from 'vitest'
import {ayb} from '../support/ayb.ts'
import type {TestDatabase} from '../support/database.ts'
import {insertJob} from '../support/jobs.ts'
import {createRefreshDatabase, errorOf, register} from '../support/refresh.ts'
import {openTerminal} from '../support/terminal.ts'

describe('what a terminal would act on', () => {
  const HOSTILE = 'gnp.\u202eexe \u009b31m \u2066x'
  const ESCAPED = 'gnp.\\u202eexe \\u009b31m \\u2066x'
  let db: TestDatabase
  beforeAll(async () => {
    db = await createRefreshDatabase()
    await db.query(`create function raise_it() returns int language plpgsql as $$
      begin raise exception '%', '${HOSTILE}'; end $$`)
    await db.query('create materialized view hostile as select raise_it() as n with no data')
    await register(db, 'hostile')
  })

  test('is escaped in JSON, which reads as the same text', async () => {
    const result = await ayb(['matviews', 'refresh', 'hostile', '--json'], {url: db.url})
    expect(result.stdout).toContain(ESCAPED)
    expect(errorOf(result).message).toContain(HOSTILE)
    const shown = await ayb(['matviews', 'show', 'hostile', '--json'], {url: db.url})
    expect(shown.stdout).toContain(ESCAPED)
    expect(shown.stdout).not.toMatch(/[\u0080-\u009f\u202e\u2066]/)
  })

  test('is escaped in errors, tables and both kinds of log', async () => {
    // Its end comes first: a worker that finds the view locked has nothing to tell of it.
    const refreshed = await openTerminal(['matviews', 'refresh', 'hostile'], {url: db.url, columns: 300}).done
    const listed = openTerminal(['matviews', 'list'], {url: db.url, columns: 300})
    const log = async (format: string) => {
      await insertJob(db, {view_name: 'hostile'}, {max_attempts: 1})
      return ayb(['worker', '--once', '--log-format', format], {url: db.url})
    }
    const [pretty, json] = [await log('pretty'), await log('json')]
    const outputs = [refreshed.output, (await listed.done).output, pretty.stderr, json.stderr]
    for (const output of outputs) {
      expect(output).toMatch(/gnp\.\\u202eexe \\(x9b|u009b)31m \\u2066x/)
      expect(output).not.toMatch(/[\u0080-\u009f\u202e\u2066]/)
    }
  })
})
