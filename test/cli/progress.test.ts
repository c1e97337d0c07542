import {createServer, type Socket} from 'node:net'
import {stripVTControlCharacters} from 'node:util'
import {describe, expect, test} from 'vitest'
import {ayb} from '../support/ayb.ts'
import {createTestDatabase} from '../support/database.ts'
import {createRefreshDatabase, register} from '../support/refresh.ts'
import {openTerminal} from '../support/terminal.ts'

/** A server that takes connections, and never answers. */
async function startMute() {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => sockets.add(socket.on('error', () => {})))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const {port} = server.address() as {port: number}
  return {
    port,
    close: () => {
      for (const socket of sockets) socket.destroy()
      server.close()
    },
  }
}

describe.concurrent('a command', {timeout: 60_000}, () => {
  test('says on a terminal where it connects to, if that takes long, and takes the line away', async () => {
    const mute = await startMute()
    const url = `postgres://me:secret@127.0.0.1:${mute.port}/db`
    const env = {PGCONNECT_TIMEOUT: '2'}
    const terminal = openTerminal(['matviews', 'list'], {url, env})
    await terminal.waitFor(new RegExp(`Connecting to 127\\.0\\.0\\.1:${mute.port}…`))
    const {code, output} = await terminal.done
    const [piped, quiet] = await Promise.all([
      ayb(['matviews', 'list'], {url, env}),
      openTerminal(['matviews', 'list', '--quiet'], {url, env}).done,
    ])
    mute.close()
    expect(code).toBe(6)
    expect(stripVTControlCharacters(output)).toMatch(/…[^…]*\r +\rError: [^…]*\r\n(Hint: [^…]*\r\n)?$/)
    expect(output).not.toContain('secret')
    for (const text of [piped.stderr, quiet.output]) {
      expect(text).toMatch(/^\S*Error:/)
      expect(text).not.toContain('Connecting')
    }
  })

  test('tells each step with --verbose, and no advice with --quiet; stdout is the same', async () => {
    const db = await createTestDatabase({hasTables: true})
    await register(db, 'leaderboard')
    const unregister = ['matviews', 'unregister', 'leaderboard', '--dry-run']
    const [usual, quiet, verbose] = [
      await ayb(unregister, db),
      await ayb([...unregister, '--quiet'], db),
      await ayb([...unregister, '--verbose'], db),
    ]
    expect(usual.stderr).toMatch(/^To undo that/)
    expect(quiet.stderr).toBe('')
    expect(verbose.stderr).toMatch(
      new RegExp(`^Connected to 127\\.0\\.0\\.1:${db.port}/${db.name} as \\S+ in [\\d.]+ m?s\\nTo undo that`),
    )
    expect([quiet.stdout, verbose.stdout]).toEqual([usual.stdout, usual.stdout])
    expect(await ayb([...unregister, '--quiet', '--verbose'], db)).toMatchObject({code: 2, stdout: ''})
    const json = await ayb(['matviews', 'refresh', 'leaderboard', '--json', '--verbose'], db)
    expect(json.json()).toMatchObject({status: 'success'})
    expect(json.stderr).toMatch(/^Connected to .*\nRefreshing public\.leaderboard {2}0\.0 s\n$/)
  })
})

describe.concurrent('a refresh', {timeout: 60_000}, () => {
  const NAP = `create function nap(int) returns int immutable language plpgsql as $$
    begin if current_setting('application_name') like 'ayb %' then perform pg_sleep(2.5); end if; return $1; end $$`

  test('tells what it does: its query, and its indexes', async () => {
    const db = await createRefreshDatabase()
    await db.query(NAP)
    await db.query('create materialized view slow as select public.nap(1) as id, clock_timestamp() as stamp')
    await db.query('create unique index on slow (id)')
    await db.query('create index on slow (public.nap(id))')
    await register(db, 'slow')
    const {code, stderr} = await ayb(['matviews', 'refresh', 'slow', '--verbose'], db)
    expect(code).toBe(0)
    expect(stderr).toMatch(
      /^Refreshing public\.slow {2}\d.*\nRefreshing public\.slow, running its query {2}\d.*\n(.*\n)*Refreshing public\.slow, building index 2 of 2 {2}\d/m,
    )
  })

  test('tells in concurrent mode that it writes what differs', async () => {
    const db = await createRefreshDatabase()
    await db.query(NAP)
    await db.query('create materialized view slow as select 1 as id, clock_timestamp() as stamp')
    await db.query('create unique index on slow (id)')
    await db.query('create index on slow (public.nap(id))')
    await register(db, 'slow', 'concurrent')
    const {code, stderr} = await ayb(['matviews', 'refresh', 'slow', '--verbose'], db)
    expect(code).toBe(0)
    expect(stderr).toMatch(
      /^Refreshing public\.slow {2}\d.*\n(.*\n)*Refreshing public\.slow, writing what differs {2}\d/m,
    )
  })
})
