import {mkdtempSync, readdirSync, readFileSync, rmSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {fileURLToPath} from 'node:url'
import {expect, test} from 'vitest'
import {ayb} from '../support/ayb.ts'
import {createTestDatabase} from '../support/database.ts'

/** What takes long to load, as it stands in the bundle, and commands that can do without. */
const SLOW = {'cron-parser and luxon': 'luxon', fastify: 'FastifyError'}

test.each([
  ['matviews', 'list'],
  ['matviews', 'status'],
  ['jobs', 'list'],
])('ayb %s %s loads nothing large that it does not need', async (...args) => {
  const db = await createTestDatabase({hasTables: true})
  const folder = mkdtempSync(join(tmpdir(), 'ayb-start-up-'))
  await ayb(args, {url: db.url, env: {NODE_V8_COVERAGE: folder}})
  const reports = readdirSync(folder).map((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')))
  const urls: string[] = reports.flatMap(({result}) => result.map(({url}: {url: string}) => url))
  rmSync(folder, {recursive: true})
  const loaded = urls.filter((url) => url.includes('/dist/')).map((url) => fileURLToPath(url))
  expect(loaded.length).toBeGreaterThan(5)
  for (const [name, mark] of Object.entries(SLOW)) {
    expect(
      loaded.filter((path) => readFileSync(path, 'utf8').includes(mark)),
      name,
    ).toEqual([])
  }
})
