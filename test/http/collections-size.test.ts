import {afterAll, beforeAll, describe, expect, test} from 'vitest'
import type {Reader} from '../../src/db/reader.ts'
import {openAs, readOf, refusalOf, textOf} from '../support/collections.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {peakMemory} from '../support/memory.ts'
import {startServer, stopServers} from '../support/serve.ts'

const ROWS = 20_000
const LARGE = 200
const MB = 1024 * 1024

let server: TestDatabase
let db: Reader

beforeAll(async () => {
  server = await createTestDatabase()
  await server.query(
    `create materialized view crowd as select n as id, n % 7 as team from generate_series(1, ${ROWS}) n order by n * 7919 % 20011`,
  )
  // A row of 1 MB in JSON: small on disk, where it is compressed.
  await server.query(
    `create materialized view broad as select n as id, repeat('x', ${MB} - 100) as load from generate_series(1, ${LARGE}) n`,
  )
  db = await openAs(server.url)
})

afterAll(async () => {
  await db.close()
})

describe('many rows', () => {
  test.each([
    [{}, ROWS],
    [{sort: 'team', 'id[lte]': '10000'}, 10_000],
    [{sort: '-team,id', 'id[lte]': '10000'}, 10_000],
  ])('come in pages that have each row once: %j', {timeout: 120_000}, async (query, count) => {
    const pages = count / 500
    expect(await readOf(db, 'crowd', {...query, perPage: '500'})).toMatchObject({
      totalItems: count,
      totalPages: pages,
    })
    const seen = new Set<unknown>()
    for (let page = 1; page <= pages; page += 1) {
      const {items} = await readOf(db, 'crowd', {...query, perPage: '500', page: String(page)})
      expect(items).toHaveLength(500)
      for (const {id} of items) seen.add(id)
    }
    expect(seen.size).toBe(count)
  })

  test('are all alike by what they are sorted by, and still in the same order each time', async () => {
    const query = {sort: 'team', perPage: '500', page: '7'}
    const once = await textOf(db, 'crowd', query)
    const {items} = JSON.parse(once) as {items: {team: number}[]}
    expect(new Set(items.map(({team}) => team)).size).toBe(1)
    expect(await textOf(db, 'crowd', query)).toBe(once)
  })

  test('that are filtered are counted so', async () => {
    expect(await readOf(db, 'crowd', {team: '3', 'id[gt]': '10000'})).toMatchObject({totalItems: 1428})
  })
})

describe('large rows', () => {
  test('come up to 8 MB, and not beyond', async () => {
    const most = await textOf(db, 'broad', {perPage: '8'})
    expect(most.length).toBeGreaterThan(7.9 * MB)
    expect(most.length).toBeLessThan(8.1 * MB)
    const error = await refusalOf(db, 'broad', {perPage: '9'})
    expect(error).toMatchObject({code: 'INVALID_ARGUMENT', status: 400})
    expect(error.message).toBe('the page has more than 8 MB')
    expect(error.hint).toContain('fields=')
    expect(await readOf(db, 'broad', {perPage: '500', fields: 'id'})).toMatchObject({totalItems: LARGE})
  })

  test('never reach the process of the server when they are too much', async () => {
    const process = await startServer(server, ['--all-views'])
    const path = '/api/collections/broad'
    expect((await process.get(`${path}?perPage=1`)).status).toBe(200)
    const before = peakMemory(process.pid)
    const answer = await process.get(`${path}?perPage=500`)
    expect(answer.json()).toMatchObject({message: 'the page has more than 8 MB'})
    expect(peakMemory(process.pid) - before).toBeLessThan(LARGE / 2)
    await stopServers([process])
  })

  test('that take too long are a timeout that says so, and the session lives on', async () => {
    const error = await refusalOf(
      db,
      'broad',
      {perPage: '500'},
      {
        limits: {timeoutMs: 100, lockTimeoutMs: 10_000},
      },
    )
    expect(error).toMatchObject({
      code: 'TIMEOUT',
      status: 504,
      details: {timeout: 'statement', timeoutMs: 100},
      hint: expect.any(String),
    })
    expect(await readOf(db, 'broad', {perPage: '1'})).toMatchObject({totalItems: LARGE})
    // Nothing of a transaction that only reads stays behind.
    await db.session.query('create table public.afterwards (id int)')
    const [kept] = await db.session.query('show statement_timeout')
    expect(kept).toEqual({statement_timeout: '0'})
  })
})
