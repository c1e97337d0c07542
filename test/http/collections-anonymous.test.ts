import {beforeAll, describe, expect, test} from 'vitest'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {type RunningServer, startServer, TOKEN} from '../support/serve.ts'
import {until} from '../support/until.ts'
import {takeAway} from '../support/worker.ts'

const COLLECTIONS = '/api/collections'
const ANONYMOUS = [null, `${TOKEN}x`]

describe('whoever has no token, where none is needed,', () => {
  let db: TestDatabase
  let role: {name: string; url: string}
  let server: RunningServer

  beforeAll(async () => {
    db = await createTestDatabase()
    role = await db.createRole('stranger')
    server = await startServer({url: role.url}, ['--public-collections', '--all-views'])
  })

  test('is told of a view that the role may not read what is told of none at all', async () => {
    const known = await server.get(`${COLLECTIONS}/leaderboard`)
    expect(known.status).toBe(403)
    expect(known.json()).toMatchObject({
      code: 'PERMISSION_DENIED',
      message: expect.stringContaining(`belongs to ${db.user}`),
      hint: `GRANT SELECT ON public.leaderboard TO ${role.name};`,
    })
    for (const token of ANONYMOUS) {
      const absent = await server.get(`${COLLECTIONS}/nothing`, {token})
      const unreadable = await server.get(`${COLLECTIONS}/leaderboard`, {token})
      expect(unreadable.status).toBe(404)
      expect(unreadable.json()).toMatchObject({code: 'VIEW_NOT_FOUND'})
      expect(unreadable.text).toBe(absent.text.replace('nothing', 'leaderboard'))
      expect(Object.keys(unreadable.headers)).toEqual(Object.keys(absent.headers))
    }
  })

  test('is told what is wrong with a query', async () => {
    await db.query(`grant select on leaderboard to ${role.name}`)
    const path = `${COLLECTIONS}/leaderboard?sort=nam`
    const known = await server.get(path)
    expect(known.json()).toMatchObject({code: 'INVALID_ARGUMENT', hint: expect.stringContaining('name')})
    expect((await server.get(path, {token: null})).text).toBe(known.text)
  })

  test('learns nothing of a database that cannot be reached, and the log has it all', async () => {
    const giveBack = await takeAway(db)
    const known = await server.get(`${COLLECTIONS}/leaderboard`)
    expect(known.status).toBe(503)
    expect(known.json()).toMatchObject({
      code: 'CONNECTION_FAILED',
      message: expect.stringContaining(db.name),
      hint: expect.any(String),
    })
    for (const token of ANONYMOUS) {
      const lines = server.logs().length
      const answer = await server.get(`${COLLECTIONS}/leaderboard`, {token})
      expect(answer.status).toBe(503)
      expect(answer.json()).toEqual({
        code: 'CONNECTION_FAILED',
        message: 'not available at the moment',
        hint: null,
      })
      await until(
        () =>
          server
            .logs()
            .slice(lines)
            .some(({error}) => String(error).includes(db.name)),
        {what: 'the log to have it', timeoutMs: 30_000},
      )
    }
    await giveBack()
  })
})
