import {chmodSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {beforeAll, describe, expect, onTestFinished, test} from 'vitest'
import type {ListedRegistration} from '../../src/lib/records/registrations.ts'
import {ayb} from '../support/ayb.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {documentOf, INSTANT, keysOf, LISTED_KEYS} from '../support/documents.ts'

const list = (db: TestDatabase, ...args: string[]) =>
  documentOf<ListedRegistration[]>(['matviews', 'list', ...args], db)

const namesOf = (documents: ListedRegistration[]) =>
  documents.map(({schemaName, viewName}) => `${schemaName}.${viewName}`)

describe('ayb matviews list', () => {
  let db: TestDatabase

  beforeAll(async () => {
    db = await createTestDatabase()
    await db.query(`create schema sales; create schema "Odd one";
      create materialized view sales.top as select 1 as one;
      create materialized view "Odd one"."x y" as select 1 as one;
      create materialized view gone as select 1 as one;`)
    for (const view of ['sales.top', '"Odd one"."x y"', 'leaderboard', 'gone']) {
      await documentOf(['matviews', 'register', view], db)
    }
    await db.query('drop materialized view gone')
    await documentOf(['matviews', 'refresh', 'leaderboard'], db)
  })

  test('shows every registration by name', async () => {
    const documents = await list(db)
    expect(namesOf(documents)).toEqual(['Odd one.x y', 'public.gone', 'public.leaderboard', 'sales.top'])
    for (const document of documents) {
      expect(keysOf(document)).toEqual(LISTED_KEYS)
      expect(document).toMatchObject({exists: document.viewName !== 'gone', nextRunAt: null})
    }
    expect(documents[2]).toMatchObject({
      lastRefreshAt: expect.stringMatching(INSTANT),
      lastRefreshDurationMs: expect.any(Number),
      lastRefreshStatus: 'success',
      lastRefreshError: null,
      lastSuccessAt: expect.stringMatching(INSTANT),
      lastSuccessDurationMs: documents[2]?.lastRefreshDurationMs,
      running: null,
      overdue: false,
      freshAsOf: expect.stringMatching(INSTANT),
      state: 'unwatched',
      reason: expect.any(String),
    })
    expect(documents[1]).toMatchObject({state: 'never', reason: 'the view is gone', freshAsOf: null})
  })

  test('shows those of one schema', async () => {
    expect(namesOf(await list(db, '--schema', 'sales'))).toEqual(['sales.top'])
    expect(namesOf(await list(db, '--schema', '"Odd one"'))).toEqual(['Odd one.x y'])
    expect(await list(db, '--schema', 'Sales')).toEqual([])
  })

  test('is one record a line in a pipe, exact and without a header', async () => {
    const [odd, gone, leaderboard, top] = await list(db)
    const result = await ayb(['matviews', 'list'], db)
    expect(result).toMatchObject({code: 0, stderr: ''})
    expect(result.stdout.split('\n').map((line) => line.split('\t'))).toEqual([
      ['"Odd one"."x y"', 'standard', '', '', '', '', '', odd?.id, 'never', '', '', '', 'false', ''],
      ['public.gone', 'standard', 'view is gone', '', '', '', '', gone?.id, 'never', '', '', '', 'false', ''],
      [
        'public.leaderboard',
        'standard',
        'success',
        leaderboard?.lastRefreshAt,
        String(leaderboard?.lastRefreshDurationMs),
        '',
        '',
        leaderboard?.id,
        'unwatched',
        leaderboard?.freshAsOf,
        '',
        leaderboard?.lastSuccessAt,
        'false',
        '',
      ],
      ['sales.top', 'standard', '', '', '', '', '', top?.id, 'never', '', '', '', 'false', ''],
      [''],
    ])
  })

  test('keeps a record on its line, whatever an error says', async () => {
    const other = await createTestDatabase()
    await documentOf(['matviews', 'register', 'leaderboard'], other)
    await other.query(
      `update _ayb_matview_refreshes
          set last_refresh_status = 'error', last_refresh_error = E'first\\tline\\nsecond \\u001b[31mred'`,
    )
    expect((await list(other))[0]?.lastRefreshError).toBe('first\tline\nsecond \u001b[31mred')
    const {stdout} = await ayb(['matviews', 'list'], other)
    expect(stdout.split('\n')).toHaveLength(2)
    expect(stdout.split('\t')[6]).toBe('first\\tline\\nsecond \\x1b[31mred')
  })

  test('answers while a refresh holds a view', async () => {
    const holder = await db.connect()
    onTestFinished(async () => void (await holder.query('rollback')))
    await holder.query('begin; refresh materialized view leaderboard')
    const documents = await list(db)
    expect(namesOf(documents)).toContain('public.leaderboard')
  })
})

describe('without any tables', () => {
  test('lists are empty, and stay so', async () => {
    const db = await createTestDatabase()
    expect(await list(db)).toEqual([])
    expect(await ayb(['matviews', 'list'], db)).toMatchObject({code: 0, stdout: '', stderr: ''})
    expect(await db.query(`select from pg_class where relname like '\\_ayb%'`)).toEqual([])
  })
})

describe('a warning beside an array', () => {
  test('goes to stderr', async (context) => {
    const db = await createTestDatabase()
    if (db.socketDir === null) return context.skip()
    const folder = mkdtempSync(join(tmpdir(), 'ayb-test-pgpass-'))
    onTestFinished(() => rmSync(folder, {recursive: true}))
    const file = join(folder, 'pgpass')
    writeFileSync(file, '')
    chmodSync(file, 0o644)
    const env = {
      PGHOST: db.socketDir,
      PGPORT: String(db.port),
      PGUSER: db.user,
      PGDATABASE: db.name,
      PGPASSFILE: file,
    }
    const result = await ayb(['matviews', 'list', '--json'], {env})
    expect({code: result.code, document: result.json()}).toEqual({code: 0, document: []})
    expect(result.stderr).toBe(
      `Warning: password file "${file}" is ignored: group or others have access to it; chmod 600 it\n`,
    )
  })
})
