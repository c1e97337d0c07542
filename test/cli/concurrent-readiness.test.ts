import {beforeAll, describe, expect, test} from 'vitest'
import type {Refreshed} from '../../src/lib/records/refreshes.ts'
import type {View} from '../../src/lib/records/views.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {documentOf} from '../support/documents.ts'

/** One database for many views: a single look at it answers for all of them. */
async function discover(db: TestDatabase): Promise<Map<string, View>> {
  const views = await documentOf<View[]>(['matviews', 'discover'], db)
  return new Map(views.map((view) => [view.viewName, view]))
}

const indexBlocker = (view: View | undefined) =>
  view?.concurrentBlockers.find(({code}) => code === 'UNIQUE_INDEX_REQUIRED')

describe('a unique index', () => {
  let db: TestDatabase
  let views: Map<string, View>
  let version: number

  beforeAll(async () => {
    db = await createTestDatabase()
    const [row] = await db.query<{version: number}>(
      `select current_setting('server_version_num')::int as version`,
    )
    version = row?.version ?? 0
    for (const [name, index] of [
      ['partial', 'create unique index partial_x on partial (id) where id > 0'],
      ['expression', 'create unique index expression_x on expression (lower(name))'],
      ['mixed', 'create unique index mixed_x on mixed (id, lower(name))'],
      ['not_unique', 'create index not_unique_x on not_unique (id)'],
      ['not_immediate', 'create unique index not_immediate_x on not_immediate (id)'],
      ['plain', 'create unique index on plain (id)'],
      ['two_columns', 'create unique index on two_columns (name, id)'],
      ['including', 'create unique index on including (id) include (name)'],
      [
        'one_of_two',
        'create unique index on one_of_two (id) where id > 0; create unique index on one_of_two (id)',
      ],
    ]) {
      await db.query(`create materialized view ${name} as select id, name from users`)
      await db.query(index as string)
    }
    // No statement makes an index of a materialized view deferrable, but an older dump or an extension may.
    await db.query(`update pg_index set indimmediate = false where indexrelid = 'not_immediate_x'::regclass`)
    await db.query('create materialized view failed as select 1 as id from users')
    await db
      .query('create unique index concurrently failed_x on failed (id)')
      .catch((error: {code?: string}) => expect(error.code).toBe('23505'))
    if (version >= 150_000) {
      await db.query('create materialized view nulls as select id, name from users')
      await db.query('create unique index on nulls (id) nulls not distinct')
    }
    views = await discover(db)
  })

  test.each([
    {view: 'partial', why: 'partial_x is partial'},
    {view: 'expression', why: 'expression_x is on an expression'},
    {view: 'mixed', why: 'mixed_x is on an expression'},
    {view: 'not_immediate', why: 'not_immediate_x is deferrable'},
    {view: 'failed', why: 'failed_x is not valid'},
  ])('that Postgres would not take is named with the reason: $why', async ({view, why}) => {
    expect(views.get(view)?.concurrentReady).toBe(false)
    expect(indexBlocker(views.get(view))?.message).toContain(
      `: ${why}; such an index must be on plain columns`,
    )
    await expect(db.query(`refresh materialized view concurrently ${view}`)).rejects.toMatchObject({
      code: '55000',
    })
  })

  test('that is not unique is none', () => {
    expect(indexBlocker(views.get('not_unique'))?.message).toBe(
      'public.not_unique has no unique index that a concurrent refresh can use',
    )
  })

  test.each(['plain', 'two_columns', 'including', 'one_of_two', 'nulls'])('is taken: %s', async (view) => {
    if (view === 'nulls' && version < 150_000) return
    expect(views.get(view)).toMatchObject({concurrentReady: true, concurrentBlockers: []})
    await db.query(`refresh materialized view concurrently ${view}`)
  })
})

describe('the statement in the hint', () => {
  let db: TestDatabase
  let before: Map<string, View>

  beforeAll(async () => {
    db = await createTestDatabase()
    await db.query(`create schema "Odd ""schema";
      create type mood as enum ('sad', 'happy');
      create domain email as text;
      create materialized view renamed as
        select u.name as label, u.id as user_id, count(*) as n
          from workouts w join users u on u.id = w.user_id group by u.id, u.name;
      create materialized view no_btree as select '{}'::json as document, point(1, 2) as place;
      create materialized view some_btree as
        select '{}'::json as document, point(id, id) as place, id * 2 as twice from users;
      create materialized view by_statistics as
        select 'same'::text as constant, md5(id::text) as hash, id % 3 as bucket from users;
      create materialized view nothing_known as select id % 60 as a, name || id as b from users;
      create materialized view "Odd ""schema"."select" as
        select id as "order", name as "Full ""Name""" from users;
      create materialized view typed as
        select 'happy'::mood as feeling, 'x'::email as address, array[1] as list, int4range(1, 2) as span,
               true as flag, '1'::varchar(5) as short, '::1'::inet as host
          from (select 1) as one;`)
    await db.query('analyze')
    before = await discover(db)
  })

  test.each([
    {view: 'leaderboard', statement: 'CREATE UNIQUE INDEX ON public.leaderboard (id);'},
    {view: 'renamed', statement: 'CREATE UNIQUE INDEX ON public.renamed (user_id);'},
    {view: 'some_btree', statement: 'CREATE UNIQUE INDEX ON public.some_btree (twice);'},
    {view: 'by_statistics', statement: 'CREATE UNIQUE INDEX ON public.by_statistics (hash);'},
    {view: 'select', statement: 'CREATE UNIQUE INDEX ON "Odd ""schema"."select" ("order");'},
  ])('suggests what is unique in $view', ({view, statement}) => {
    expect(indexBlocker(before.get(view))?.hint).toMatch(
      new RegExp(`^${statement.replaceAll(/[.()]/g, '\\$&')} -- `),
    )
  })

  test('says so where no column is known to be unique', () => {
    expect(indexBlocker(before.get('typed'))?.hint).toMatch(
      /^CREATE UNIQUE INDEX ON public\.typed \(.+\); -- /,
    )
  })

  test('is words where no column can be indexed', () => {
    expect(indexBlocker(before.get('no_btree'))?.hint).toMatch(/^add a column/)
  })

  test('runs as it stands, comment and all, and makes each view ready', async () => {
    const hints = [...before.values()].flatMap((view) => indexBlocker(view)?.hint ?? [])
    const statements = hints.filter((hint) => hint.startsWith('CREATE'))
    expect(statements).toHaveLength(before.size - 1)
    for (const statement of statements) await db.query(statement)
    for (const [name, view] of await discover(db)) {
      expect({name, ready: view.concurrentReady}).toEqual({name, ready: name !== 'no_btree'})
    }
  })

  test('lets the view be refreshed concurrently', async () => {
    await documentOf(['matviews', 'register', 'renamed', '--mode', 'concurrent'], db)
    const {registration} = await documentOf<Refreshed>(['matviews', 'refresh', 'renamed'], db)
    expect(registration).toMatchObject({refreshMode: 'concurrent', lastRefreshStatus: 'success'})
  })

  test('is the same for a role that sees less', async () => {
    const other = await createTestDatabase()
    const role = await other.createRole('reader')
    const views = await documentOf<View[]>(['matviews', 'discover'], role)
    expect(views[0]?.concurrentBlockers[0]?.hint).toMatch(
      /^CREATE UNIQUE INDEX ON public\.leaderboard \(id\);/,
    )
  })
})
