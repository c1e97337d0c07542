import {beforeAll, describe, expect, test} from 'vitest'
import type {Migrated, MigrationPlan} from '../../src/lib/records/migrations.ts'
import {ayb} from '../support/ayb.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {documentOf, failureOf, keysOf} from '../support/documents.ts'

const migrate = (db: TestDatabase) => documentOf<Migrated>(['migrate'], db)
const plan = (db: TestDatabase) => documentOf<MigrationPlan>(['migrate', '--dry-run'], db)

const systemRelations = (db: TestDatabase) =>
  db.query(`select relname from pg_class where relname ~ '^_ayb_' and relkind = 'r' order by relname`)

const TABLES = [
  {relname: '_ayb_cli_migrations'},
  {relname: '_ayb_matview_refresh_runs'},
  {relname: '_ayb_matview_refreshes'},
]

describe('ayb migrate', () => {
  let db: TestDatabase

  beforeAll(async () => {
    db = await createTestDatabase({template: false})
  })

  test('shows with --dry-run what it would run, and changes nothing', async () => {
    const document = await plan(db)
    expect(keysOf(document)).toEqual(['pending', 'version', 'warnings'])
    expect(document).toMatchObject({version: 0, warnings: []})
    for (const step of document.pending) expect(keysOf(step)).toEqual(['name', 'sql'])
    expect(document.pending.map(({name}) => name)).toContain('0001-registrations')
    const {code, stdout, stderr} = await ayb(['migrate', '--dry-run'], db)
    expect({code, stderr}).toEqual({code: 0, stderr: ''})
    expect(stdout).toBe(`${document.pending.map(({name, sql}) => `-- ${name}\n${sql}`).join('\n\n')}\n`)
    expect(await systemRelations(db)).toEqual([])
  })

  test('creates the tables once', async () => {
    const first = await migrate(db)
    expect(keysOf(first)).toEqual(['applied', 'version', 'warnings'])
    expect(first.applied).toContain('0001-registrations')
    expect(first).toMatchObject({version: first.applied.length, warnings: []})
    expect(await migrate(db)).toEqual({applied: [], version: first.version, warnings: []})
    expect(await plan(db)).toEqual({pending: [], version: first.version, warnings: []})
    expect(await systemRelations(db)).toEqual(expect.arrayContaining(TABLES))
    const text = await ayb(['migrate'], db)
    expect(text).toMatchObject({code: 0, stdout: `Up to date at version ${first.version}\n`, stderr: ''})
    const dryRun = await ayb(['migrate', '--dry-run'], db)
    expect(dryRun).toMatchObject({code: 0, stdout: '-- nothing to apply\n', stderr: ''})
  })

  test('makes the registrations as an AYB server has them', async () => {
    const columns = await db.query(
      `select a.attname as name, format_type(a.atttypid, a.atttypmod) as type, a.attnotnull as required,
              pg_get_expr(d.adbin, d.adrelid) as "default"
         from pg_attribute a left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
        where a.attrelid = '_ayb_matview_refreshes'::regclass and a.attnum > 0 order by a.attnum`,
    )
    const text = 'character varying'
    const time = 'timestamp with time zone'
    expect(columns.map(({name, type, required, default: value}) => [name, type, required, value])).toEqual([
      ['id', 'uuid', true, 'gen_random_uuid()'],
      ['schema_name', `${text}(63)`, true, `'public'::${text}`],
      ['view_name', `${text}(63)`, true, null],
      ['refresh_mode', `${text}(20)`, true, `'standard'::${text}`],
      ['last_refresh_at', time, false, null],
      ['last_refresh_duration_ms', 'integer', false, null],
      ['last_refresh_status', `${text}(20)`, false, null],
      ['last_refresh_error', 'text', false, null],
      ['created_at', time, true, 'now()'],
      ['updated_at', time, true, 'now()'],
    ])
    const constraints = await db.query<{contype: string; columns: string[]}>(
      `select c.contype, array(select a.attname::text from unnest(c.conkey) k
                                 join pg_attribute a on a.attrelid = c.conrelid and a.attnum = k) as columns
         from pg_constraint c
        where c.conrelid = '_ayb_matview_refreshes'::regclass and c.contype <> 'n'
        order by c.contype, 2`,
    )
    expect(constraints).toEqual([
      {contype: 'c', columns: ['last_refresh_status']},
      {contype: 'c', columns: ['refresh_mode']},
      {contype: 'p', columns: ['id']},
      {contype: 'u', columns: ['schema_name', 'view_name']},
    ])
  })
})

describe('a first migration', () => {
  test('may be tried many times at once', async () => {
    const db = await createTestDatabase({template: false})
    const documents = await Promise.all(Array.from({length: 4}, () => migrate(db)))
    expect(documents.filter(({applied}) => applied.length > 0)).toHaveLength(1)
    expect(new Set(documents.map(({version}) => version)).size).toBe(1)
  })

  test('says what it applied', async () => {
    const db = await createTestDatabase({template: false})
    const {code, stdout} = await ayb(['migrate'], db)
    expect(code).toBe(0)
    expect(stdout).toMatch(/^Applied 0001-registrations(, \S+)*\n$/)
  })

  test('can be run by hand from the output of --dry-run, in another schema too', async () => {
    const db = await createTestDatabase({template: false})
    for (const env of [{}, {AYB_SYSTEM_SCHEMA: '"Odd ""schema"""'}]) {
      const options = {url: db.url, env}
      await db.query((await ayb(['migrate', '--dry-run'], options)).stdout)
      expect(await documentOf(['migrate'], options)).toMatchObject({applied: [], warnings: []})
    }
    const schemas = await db.query(
      `select distinct relnamespace::regnamespace::text as schema from pg_class where relname ~ '^_ayb_' order by 1`,
    )
    expect(schemas).toEqual([{schema: '"Odd ""schema"""'}, {schema: 'public'}])
  })

  test('needs a session that may write', async () => {
    const db = await createTestDatabase({template: false})
    const role = await db.createRole('reader', {settings: {default_transaction_read_only: 'on'}})
    expect((await failureOf(['migrate'], 'READ_ONLY', role)).details).toEqual({
      reason: 'default_transaction_read_only',
    })
    expect((await documentOf<MigrationPlan>(['migrate', '--dry-run'], role)).pending).not.toEqual([])
  })
})
