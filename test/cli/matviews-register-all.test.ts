import {beforeAll, expect, test} from 'vitest'
import type {RegisteredViews} from '../../src/lib/records/registrations.ts'
import {ayb} from '../support/ayb.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {documentOf, keysOf, REGISTRATION_KEYS} from '../support/documents.ts'

let db: TestDatabase

beforeAll(async () => {
  db = await createTestDatabase()
  await db.query(`create schema reports`)
  for (const view of ['public.one', 'reports.two', 'reports."Week 1"']) {
    await db.query(`create materialized view ${view} as select 1 as id`)
  }
})

const all = (...args: string[]) => documentOf<RegisteredViews>(['matviews', 'register', '--all', ...args], db)
const namesOf = (views: readonly {schemaName: string; viewName: string}[]) =>
  views.map(({schemaName, viewName}) => `${schemaName}.${viewName}`)

test('registers all views of a schema, then all others, and says which were there', async () => {
  expect(await all('--schema', 'elsewhere')).toEqual({
    registered: [],
    existing: [],
    refused: [],
    warnings: [],
  })
  const ofSchema = await all('--schema', 'reports', '--mode', 'concurrent')
  expect(keysOf(ofSchema)).toEqual(['registered', 'existing', 'refused', 'warnings'])
  expect(namesOf(ofSchema.registered)).toEqual(['reports.Week 1', 'reports.two'])
  expect(keysOf(ofSchema.registered[0])).toEqual(REGISTRATION_KEYS)
  expect(ofSchema.registered[0]).toMatchObject({refreshMode: 'concurrent', lastRefreshAt: null})
  // Neither has a unique index.
  expect(ofSchema.warnings).toHaveLength(2)

  const rest = await all()
  expect(namesOf(rest.registered)).toEqual(['public.leaderboard', 'public.one'])
  expect(rest).toMatchObject({existing: ofSchema.registered, warnings: []})
  expect((await all('--mode', 'standard')).warnings).toEqual([
    'reports."Week 1" and reports.two are registered already, and their mode stays concurrent; to change that, for each view: ayb matviews update VIEW --mode standard',
  ])
  expect((await all('--mode', 'concurrent', '--schema', 'public')).warnings).toEqual([
    expect.stringMatching(
      /^public\.leaderboard and public\.one are registered already, and their mode stays standard; /,
    ),
  ])
  // Views that are registered by --all are known again under another name.
  await db.query('alter materialized view one rename to uno')
  const result = await ayb(['matviews', 'register', '--all'], {url: db.url})
  expect(result.code).toBe(1)
  expect(result.stdout).toContain('Already registered: public.leaderboard (standard mode, id ')
  expect(result.stdout).toContain('Refused public.uno: ')
  expect(result.stdout).toContain('Hint: ayb matviews relink public.one public.uno')
})

test('refuses views that cannot be registered, and registers the others', async () => {
  await db.query('create schema odd; create materialized view odd.fine as select 1 as id')
  await db.query(`create materialized view odd.${'"two\nlines"'} as select 1 as id`)
  await db.query(
    `alter table _ayb_matview_refreshes add constraint plain check (view_name ~ '^[A-Za-z_0-9 ]*$')`,
  )
  await db.query('create materialized view odd."a-b" as select 1 as id')
  const result = await ayb(['matviews', 'register', '--all', '--schema', 'odd', '--json'], {url: db.url})
  expect(result).toMatchObject({code: 1, stderr: ''})
  const {registered, refused} = result.json() as RegisteredViews
  expect(namesOf(registered)).toEqual(['odd.fine'])
  expect(refused).toEqual([
    {
      schemaName: 'odd',
      viewName: 'two\nlines',
      error: expect.objectContaining({code: 'INVALID_IDENTIFIER', status: 400, details: null}),
    },
    {schemaName: 'odd', viewName: 'a-b', error: expect.objectContaining({code: 'INVALID_IDENTIFIER'})},
  ])
})
