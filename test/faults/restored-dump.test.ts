import {execFile, spawnSync} from 'node:child_process'
import {existsSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {promisify} from 'node:util'
import pg from 'pg'
import {expect, test} from 'vitest'
import type {RefreshedSet} from '../../src/lib/records/refreshes.ts'
import type {RegisteredViews} from '../../src/lib/records/registrations.ts'
import {createTestDatabase} from '../support/database.ts'
import {documentOf} from '../support/documents.ts'
import {startPostgres} from '../support/postgres.ts'

type Query = <Row extends object>(sql: string, params?: unknown[]) => Promise<Row[]>

/** pg_dump reads servers up to its own version: here that of the same Debian package. */
const dumpVersion = /\) (\d+)/.exec(spawnSync('pg_dump', ['--version'], {encoding: 'utf8'}).stdout ?? '')?.[1]
const binDir = `/usr/lib/postgresql/${dumpVersion}/bin`

const run = promisify(execFile)

/**
 * Creates forty views, parents first, and returns their names. Each view of a row reads two views of the row
 * before, one of them through a plain view; the last row comes first by name.
 */
async function createViews(query: Query, {isPopulated}: {isPopulated: boolean}): Promise<string[]> {
  await query('create table numbers as select 1 as number')
  const created: string[] = []
  for (let row = 0; row < 8; row++) {
    for (let column = 0; column < 5; column++) {
      const view = `v${9 - row}_${column}`
      const above = `v${10 - row}_`
      const from = row === 0 ? ['numbers'] : [`through_${above}${column}`, `${above}${(column + 1) % 5}`]
      const read = from.map((relation) => `select number from ${relation}`).join(' union all ')
      await query(
        `create materialized view ${view} as select min(number) as number from (${read}) below
           with ${isPopulated ? '' : 'no '}data;
         create view through_${view} as select number from ${view}`,
      )
      created.push(view)
    }
  }
  return created
}

/** The second command; the first is `register --all`. */
async function expectLife(options: {url: string}, query: Query): Promise<void> {
  const document = await documentOf<RefreshedSet>(['matviews', 'refresh', '--unpopulated'], options)
  expect(document).toMatchObject({counts: {success: 40, error: 0, skipped: 0}, warnings: []})
  expect(await query(`select relname from pg_class where relkind = 'm' and not relispopulated`)).toEqual([])
  expect(await query('select number from v2_0')).toEqual([{number: 1}])
}

const namesOf = (views: readonly {viewName: string}[]) => views.map(({viewName}) => viewName)

test('forty views without data come to life with two commands, and no others are refreshed', async () => {
  const db = await createTestDatabase()
  await db.query('refresh materialized view leaderboard')
  const created = await createViews(db.query, {isPopulated: false})
  const {registered} = await documentOf<RegisteredViews>(['matviews', 'register', '--all'], db)
  expect(namesOf(registered)).toEqual(['leaderboard', ...created.toSorted()])
  await expectLife(db, db.query)
})

test.skipIf(!existsSync(join(binDir, 'postgres')))(
  'a dump that pg_restore restores without the data of views comes to life with two commands',
  {timeout: 120_000},
  async () => {
    const folder = mkdtempSync(join(tmpdir(), 'ayb-dump-'))
    const server = await startPostgres({binDir})
    const ask = async <Row extends object>(url: string, sql: string, params: unknown[] = []) => {
      const client = new pg.Client({connectionString: url})
      await client.connect()
      try {
        return (await client.query(sql, params)).rows as Row[]
      } finally {
        await client.end()
      }
    }
    try {
      for (const name of ['source', 'restored']) await ask(server.url(), `create database ${name}`)
      const [source, restored] = [server.url('source'), server.url('restored')]
      const created = await createViews((sql, params) => ask(source, sql, params), {isPopulated: true})
      const known = created.filter((_, index) => index % 2 === 0)
      await documentOf<RegisteredViews>(['matviews', 'register', '--all'], {url: source})
      await ask(source, 'delete from _ayb_matview_refreshes where view_name <> all ($1)', [known])

      const [dump, list] = [join(folder, 'dump'), join(folder, 'list')]
      await run('pg_dump', ['--format=custom', `--file=${dump}`, source])
      const {stdout} = await run('pg_restore', ['--list', dump])
      const lines = stdout.split('\n')
      const kept = lines.filter((line) => !line.includes(' MATERIALIZED VIEW DATA '))
      expect(lines.length - kept.length).toBe(40)
      writeFileSync(list, kept.join('\n'))
      await run('pg_restore', ['--exit-on-error', `--use-list=${list}`, `--dbname=${restored}`, dump])

      const views = await documentOf<RegisteredViews>(['matviews', 'register', '--all'], {url: restored})
      expect(views).toMatchObject({refused: [], warnings: []})
      expect(namesOf(views.existing).sort()).toEqual(known.toSorted())
      expect(views.registered).toHaveLength(20)
      await expectLife({url: restored}, (sql, params) => ask(restored, sql, params))
    } finally {
      await server.stop()
      rmSync(folder, {recursive: true})
    }
  },
)
