import {afterAll, beforeAll, describe, expect, test} from 'vitest'
import type {DeclaredChanges} from '../../src/lib/records/declarations.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {type RunningServer, startServer, stopServers} from '../support/serve.ts'

/** Takes more than a second to read. */
const BOMB_SIZE = 350_000
const AS_YAML = {headers: {'content-type': 'application/yaml'}}

let db: TestDatabase
let server: RunningServer

beforeAll(async () => {
  db = await createTestDatabase({hasTables: true})
  server = await startServer(db)
})

afterAll(() => stopServers([server]))

const send = (path: string, text: string) => server.post(`/api/admin/${path}`, text, AS_YAML)

/** A file of so many schedules, the last of which has the given lines. */
const schedules = (count: number, last = 'view: leaderboard, cron: "0 1 * * *"') =>
  [
    'version: 1',
    'schedules:',
    ...Array.from({length: count - 1}, (_, n) => `  s${n}: {view: leaderboard, cron: "0 1 * * *"}`),
    `  last: {${last}}`,
  ].join('\n')

describe('a large file over HTTP', {timeout: 120_000}, () => {
  test('is applied like a small one, and its errors have their places and hints', async () => {
    const applied = await send('apply', schedules(1000))
    expect(applied.status, applied.text).toBe(200)
    expect(applied.json<DeclaredChanges>().changes).toHaveLength(1000)
    expect((await send('diff', schedules(1000))).json()).toMatchObject({changes: []})
    const wrong = await send('apply', schedules(1000, 'view: leaderboard, cron: "0 1 * * *", timezoen: UTC'))
    expect(wrong.status).toBe(400)
    expect(wrong.json()).toMatchObject({
      message: 'the body has an error: nothing was changed',
      details: {
        errors: [
          {
            line: 1002,
            column: 48,
            path: 'schedules.last.timezoen',
            message: '"timezoen" is not a key here',
            hint: expect.stringContaining('did you mean timezone?'),
          },
        ],
      },
    })
  })

  test('is refused where it describes more than can be taken at once', async () => {
    const refused = await send('diff', schedules(10_001))
    expect(refused.status).toBe(413)
    expect(refused.json()).toMatchObject({
      code: 'PAYLOAD_TOO_LARGE',
      message: 'the body describes 10,001 views and schedules, and at most 10,000 are taken at once',
      hint: 'send the file in parts, without prune',
    })
  })

  test('keeps nobody waiting while it is read, not even where it was written for that', async () => {
    const lists = `${'['.repeat(90)}${']'.repeat(90)},`
    const head = 'version: 1\nviews: {a: ['
    const bomb = `${head}${lists.repeat(Math.floor((BOMB_SIZE - head.length - 2) / lists.length))}]}`
    let isAnswered = false
    const answer = send('diff', bomb).finally(() => {
      isAnswered = true
    })
    let others = 0
    while (!isAnswered) {
      expect((await server.get('/healthz')).status).toBe(200)
      others++
    }
    // A file that is read between other requests lets a few of them by before and behind.
    expect(others).toBeGreaterThan(10)
    expect((await answer).status).toBe(400)
    expect((await send('diff', schedules(1000))).status).toBe(200)
  })
})
