import {connect, createServer, type Server, type Socket} from 'node:net'
import {afterAll, beforeAll, describe, expect, test} from 'vitest'
import {startAyb} from '../support/ayb.ts'
import type {TestDatabase} from '../support/database.ts'
import {
  createGatedView,
  createRefreshDatabase,
  errorOf,
  type Gate,
  registrationOf,
  runsOf,
  untilNothingIsLeft,
  untilRefreshing,
} from '../support/refresh.ts'
import {until} from '../support/until.ts'

let db: TestDatabase
let gate: Gate

beforeAll(async () => {
  db = await createRefreshDatabase()
  gate = await createGatedView(db, 'gated')
})

const start = (url: string, ...args: string[]) =>
  startAyb(['matviews', 'refresh', 'gated', '--json', ...args], {url})

async function expectRecorded(message: string): Promise<void> {
  expect((await runsOf(db, 'gated'))[0]).toMatchObject({status: 'error', error: message})
  expect(await registrationOf(db, 'gated')).toMatchObject({
    last_refresh_status: 'error',
    last_refresh_error: message,
  })
}

describe('another session', () => {
  test.each([[[]], [['--timeout', '20s']]])(
    'that cancels the refresh makes it no timeout, and leaves the status of the view (%s)',
    async (flags) => {
      const before = await registrationOf(db, 'gated')
      await gate.close()
      const running = start(db.url, ...flags)
      const pid = await untilRefreshing(db, 'gated')
      await db.query('select pg_cancel_backend($1)', [pid])
      const result = await running.done
      await gate.open()
      expect(result.code).toBe(1)
      const error = errorOf(result)
      expect(error).toMatchObject({
        code: 'REFRESH_FAILED',
        status: 500,
        message: 'another session canceled the refresh of public.gated',
        details: {sqlstate: '57014'},
      })
      const {message} = error
      expect((await runsOf(db, 'gated'))[0]).toMatchObject({status: 'canceled', error: message})
      expect(await registrationOf(db, 'gated')).toEqual(before)
    },
  )

  test('that terminates the backend makes it a lost connection, in the words of the server', async () => {
    await gate.close()
    const running = start(db.url)
    const pid = await untilRefreshing(db, 'gated')
    await db.query('select pg_terminate_backend($1)', [pid])
    const result = await running.done
    await gate.open()
    expect(result).toMatchObject({code: 6, stderr: ''})
    const error = errorOf(result)
    expect(error).toMatchObject({
      code: 'CONNECTION_LOST',
      status: 503,
      message: expect.stringContaining('terminating connection due to administrator command'),
      details: {sqlstate: '57P01'},
    })
    await expectRecorded(error.message)
    await untilNothingIsLeft(db, 2000)
  })
})

describe('a network that fails', () => {
  let proxy: Server
  let url: string
  /** Each connection through the proxy, from the program and to the server. */
  const links: {near: Socket; far: Socket}[] = []

  beforeAll(async () => {
    proxy = createServer((near) => {
      const far = connect(db.port, db.host)
      links.push({near, far})
      for (const socket of [near, far]) socket.on('error', () => {})
      near.pipe(far).on('close', () => near.destroy())
      far.pipe(near).on('close', () => far.destroy())
    })
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
    const through = new URL(db.url)
    through.port = String((proxy.address() as {port: number}).port)
    url = through.href
  })

  afterAll(() => {
    for (const {near} of links) near.destroy()
    proxy.close()
  })

  test('in the middle is recorded over a new connection, after the old backend was ended', async () => {
    await gate.close()
    const running = start(url)
    const pid = await untilRefreshing(db, 'gated')
    // The server does not hear of it.
    links.at(-1)?.near.unpipe()
    links.at(-1)?.near.destroy()
    const result = await running.done
    const alive = await db.query('select from pg_stat_activity where pid = $1', [pid])
    await gate.open()
    expect(result.code).toBe(6)
    expect(errorOf(result).code).toBe('CONNECTION_LOST')
    expect(alive).toEqual([])
    await expectRecorded(errorOf(result).message)
  })

  test('after the commit, before the answer, is a success all the same', async () => {
    await gate.close()
    const before = await runsOf(db, 'gated')
    const running = start(url)
    await untilRefreshing(db, 'gated')
    const link = links.at(-1)
    link?.far.unpipe()
    link?.far.pause()
    await gate.open()
    await until(async () => (await runsOf(db, 'gated')).length > before.length, {what: 'the commit'})
    link?.near.destroy()
    const result = await running.done
    expect(result).toMatchObject({code: 0, stderr: ''})
    const [run] = await runsOf(db, 'gated')
    expect(result.json()).toMatchObject({
      registration: {lastRefreshStatus: 'success', lastRefreshError: null},
      durationMs: run?.duration_ms,
    })
    expect(await runsOf(db, 'gated')).toHaveLength(before.length + 1)
  })

  test('for good says that the failure could not be recorded', async () => {
    await gate.close()
    const before = await runsOf(db, 'gated')
    const running = startAyb(['matviews', 'refresh', 'gated'], {url})
    await untilRefreshing(db, 'gated')
    proxy.close()
    links.at(-1)?.near.destroy()
    const result = await running.done
    // The server looks after its client once a second: until then the statement could still go on.
    await until(
      async () =>
        (await db.query(`select from pg_stat_activity where application_name = 'ayb matviews refresh'`))
          .length === 0,
      {what: 'the backend to end'},
    )
    await gate.open()
    expect(result).toMatchObject({code: 6, stdout: ''})
    expect(result.stderr).toMatch(/^Warning: .*public\.gated .*could not be recorded: /)
    expect(result.stderr).toMatch(/\nError: lost the connection /)
    expect(await runsOf(db, 'gated')).toEqual(before)
    await untilNothingIsLeft(db, 5000)
  })
})
