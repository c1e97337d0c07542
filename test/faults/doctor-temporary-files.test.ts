import pg from 'pg'
import {afterAll, beforeAll, expect, test} from 'vitest'
import type {Diagnosis} from '../../src/lib/records/diagnosis.ts'
import {documentOf} from '../support/documents.ts'
import {type PostgresServer, startPostgres} from '../support/postgres.ts'

let server: PostgresServer

beforeAll(async () => {
  server = await startPostgres({settings: {shared_preload_libraries: 'pg_stat_statements'}})
}, 60_000)

afterAll(() => server?.stop())

test('the doctor names views whose refreshes write temporary files, where pg_stat_statements counts', async () => {
  const db = {url: server.url()}
  const found = async (options = db) =>
    (await documentOf<Diagnosis>(['doctor'], options)).findings.filter(
      ({check}) => check === 'temporary-files',
    )
  const refresh = (...flags: string[]) => documentOf(['matviews', 'refresh', 'sorted', ...flags], db)
  const client = new pg.Client({connectionString: db.url})
  await client.connect()
  await client.query(`create materialized view sorted as
    select n, md5(n::text) as hash from generate_series(1, 400000) n order by 2 with no data`)
  await documentOf(['matviews', 'register', 'sorted'], db)
  await refresh('--set', 'work_mem=1MB')
  expect(await found()).toEqual([])
  await client.query('create extension pg_stat_statements')
  await client.query('select pg_stat_statements_reset()')
  await refresh('--set', 'work_mem=256MB')
  expect(await found()).toEqual([])
  await refresh('--set', 'work_mem=1MB')
  expect(await found()).toMatchObject([
    {severity: 'info', viewName: 'sorted', fix: {sql: null, command: 'ayb matviews tune public.sorted'}},
  ])
  // Another role may look, and is not shown what others have sent.
  await client.query(
    `create role reader login password 'secret'; grant select on all tables in schema public to reader`,
  )
  const url = new URL(db.url)
  Object.assign(url, {username: 'reader', password: 'secret'})
  expect(await found({url: url.href})).toEqual([])
  await client.end()
}, 60_000)
