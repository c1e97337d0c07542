import {afterAll, beforeAll, describe, expect, test} from 'vitest'
import {Session} from '../../src/db/session.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {until} from '../support/until.ts'

const open: Session[] = []
let server: TestDatabase

beforeAll(async () => {
  server = await createTestDatabase()
})

afterAll(async () => {
  for (const session of open) await session.close()
})

async function openSession(env: NodeJS.ProcessEnv = {}, deadlineMs: number | null = null): Promise<Session> {
  const session = await Session.open({databaseUrl: server.url, env, applicationName: 'ayb test', deadlineMs})
  open.push(session)
  return session
}

const NO_ANSWER = {
  code: 'CONNECTION_LOST',
  message: expect.stringMatching(/: no answer after 0\.5 s$/),
  hint: expect.stringContaining('that its pool has a connection to spare'),
}

describe('a statement that is not answered by its deadline', () => {
  test.each([
    ['sent alone', 'off'],
    ['sent in a transaction of its own', 'on'],
  ])('and was %s, is a lost connection that says for how long', async (_, pooled) => {
    const session = await openSession({AYB_POOLED: pooled}, 500)
    const sleeping = session.query('select pg_sleep(60)')
    await expect(sleeping).rejects.toMatchObject(NO_ANSWER)
    expect(session.isUsable).toBe(false)
  })

  test.each([
    ['sent alone', 'off'],
    ['sent in a transaction of its own', 'on'],
  ])('of its own call and was %s, too', async (_, pooled) => {
    const session = await openSession({AYB_POOLED: pooled}, 60_000)
    const sleeping = session.query('select pg_sleep(60)', [], {deadlineMs: 500})
    await expect(sleeping).rejects.toMatchObject(NO_ANSWER)
    expect(session.isUsable).toBe(false)
  })

  test('of a view of the session is none of the session itself', async () => {
    const session = await openSession()
    await session.within(500).query('select')
    expect(await session.query(`select 'slow' as answer from pg_sleep(1)`)).toEqual([{answer: 'slow'}])
    const sleeping = session.within(500).script(['select pg_sleep(60)'])
    await expect(sleeping).rejects.toMatchObject(NO_ANSWER)
    expect(session.isUsable).toBe(false)
  })

  test('of a view of the session counts in a transaction of the session, too', async () => {
    const session = await openSession({AYB_POOLED: 'on'})
    const limited = session.within(500)
    const lost = session.transaction(async () => {
      const [mine, same] = [session, limited].map((each) =>
        each.query('select pg_current_xact_id()::text as transaction'),
      )
      expect(await same).toEqual(await mine)
      await limited.query('select pg_sleep(60)')
    })
    await expect(lost).rejects.toMatchObject(NO_ANSWER)
    expect(limited.within(1).origin).toBe(session)
  })

  test('stays unnoticed where the call has none', async () => {
    const session = await openSession({}, 500)
    const rows = session.query(`select 'slow' as answer from pg_sleep(1)`, [], {deadlineMs: null})
    expect(await rows).toEqual([{answer: 'slow'}])
  })

  test('is one inside a transaction, too, which is over', async () => {
    const session = await openSession()
    const lost = session.transaction(() => session.query('select pg_sleep(60)', [], {deadlineMs: 500}))
    await expect(lost).rejects.toMatchObject(NO_ANSWER)
    expect(session.isUsable).toBe(false)
  })
})

test('a backend that is ended before the deadline is no missing answer', async () => {
  const session = await openSession({}, 60_000)
  const sleeping = session.query('select pg_sleep(60)')
  const outcome = expect(sleeping).rejects.toMatchObject({
    code: 'CONNECTION_LOST',
    message: expect.not.stringContaining('no answer'),
    details: {sqlstate: '57P01'},
  })
  await until(
    async () =>
      (
        await server.query(
          `select pg_terminate_backend(pid) from pg_stat_activity where pid = $1 and state = 'active'`,
          [session.pid],
        )
      ).length > 0,
    {what: 'the backend to sleep'},
  )
  await outcome
})
