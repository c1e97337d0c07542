import {stripVTControlCharacters} from 'node:util'
import {beforeAll, describe, expect, test} from 'vitest'
import {startAyb} from '../support/ayb.ts'
import type {TestDatabase} from '../support/database.ts'
import {createGatedView, createRefreshDatabase, type Gate, untilRefreshing} from '../support/refresh.ts'
import {openTerminal} from '../support/terminal.ts'

const CSI = '\u001b['
/** Longer than a spinner waits before it shows itself. */
const LONG_ENOUGH_MS = 600

let db: TestDatabase
let gate: Gate

beforeAll(async () => {
  db = await createRefreshDatabase()
  gate = await createGatedView(db, 'gated')
  await db.query(
    `update _ayb_matview_refreshes set last_refresh_status = 'success', last_refresh_duration_ms = 83456`,
  )
})

const ARGS = ['matviews', 'refresh', 'gated']

/** What stands on the line that was cleared last, and below it. */
const afterClearing = (output: string): string =>
  stripVTControlCharacters(output.slice(output.lastIndexOf(`${CSI}1G${CSI}0K`)))

describe('on a terminal', () => {
  test('the spinner shows the view, the time so far and that of the last refresh, and goes', async () => {
    await gate.close()
    const terminal = openTerminal(ARGS, {url: db.url})
    await terminal.waitFor(/Refreshing public\.gated {2}0\.\d s \(last time 1 m 23 s\)/)
    await terminal.waitFor(/Refreshing public\.gated(, waiting for pid \d+.*)? {2}1\.\d s/)
    await gate.open()
    const {code, output} = await terminal.done
    expect(code).toBe(0)
    expect(output).toContain(`${CSI}?25l`)
    expect(output.lastIndexOf(`${CSI}?25h`)).toBeGreaterThan(output.lastIndexOf(`${CSI}?25l`))
    expect(afterClearing(output)).toMatch(/^Refreshed public\.gated in (\d+ ms|\d\.\d s)\r\n$/)
  })

  test('the spinner says that it waits, and then that it refreshes', async () => {
    const other = await db.connect()
    await other.query(`select pg_advisory_lock(hashtext('public.gated'))`)
    await gate.close()
    const terminal = openTerminal([...ARGS, '--wait'], {url: db.url})
    await terminal.waitFor(/Waiting for public\.gated/)
    await other.query('select pg_advisory_unlock_all()')
    await terminal.waitFor(/Refreshing public\.gated/)
    await gate.open()
    expect((await terminal.done).code).toBe(0)
  })

  test('the spinner says whom the refresh waits for at the moment', async () => {
    const reader = await db.connect()
    await reader.query(`set application_name = 'report'; begin; select from gated`)
    await gate.close()
    const terminal = openTerminal([...ARGS, '--lock-timeout', '0'], {url: db.url, columns: 120})
    await terminal.waitFor(/Refreshing public\.gated, waiting for pid \d+ \(report\) for \d+ s {2}/)
    await reader.query('commit')
    await terminal.waitFor(/Refreshing public\.gated, waiting for pid \d+ for \d+ s {2}/)
    await gate.open()
    expect((await terminal.done).code).toBe(0)
  })

  test('the spinner fits a narrow one', async () => {
    await gate.close()
    const terminal = openTerminal(ARGS, {url: db.url, columns: 20})
    await terminal.waitFor(/Refresh/)
    await gate.open()
    const {output} = await terminal.done
    const lines = output.split(CSI).map((part) => part.replace(/^[\d;?]*[A-Za-z]/, ''))
    const drawn = lines.filter((line) => line.includes('Refreshin'))
    expect(drawn.length).toBeGreaterThan(0)
    expect(Math.max(...drawn.map((line) => line.length))).toBeLessThan(20)
  })

  test('a refresh that fails clears it before the error', async () => {
    await gate.close()
    const terminal = openTerminal([...ARGS, '--timeout', '900ms'], {url: db.url})
    await terminal.waitFor(/Refreshing public\.gated/)
    const {code, output} = await terminal.done
    await gate.open()
    expect(code).toBe(8)
    expect(afterClearing(output)).toMatch(/^Error: statement timeout/)
  })

  test.each([{CI: '1'}, {TERM: 'dumb'}])('there is none with %o', async (env) => {
    await gate.close()
    const terminal = openTerminal(ARGS, {url: db.url, env})
    await untilRefreshing(db, 'gated', LONG_ENOUGH_MS)
    await gate.open()
    const {code, output} = await terminal.done
    expect(code).toBe(0)
    expect(stripVTControlCharacters(output)).toMatch(/^Refreshed public\.gated in [^\r\n]*\r\n$/)
  })

  test('there is none with --json: the document is all', async () => {
    await gate.close()
    const terminal = openTerminal([...ARGS, '--json'], {url: db.url})
    await untilRefreshing(db, 'gated', LONG_ENOUGH_MS)
    await gate.open()
    const {output} = await terminal.done
    expect(JSON.parse(output)).toMatchObject({registration: {viewName: 'gated'}})
    expect(output).not.toContain(CSI)
  })
})

test('piped, nothing is on stderr', async () => {
  await gate.close()
  const running = startAyb(ARGS, {url: db.url})
  await untilRefreshing(db, 'gated', LONG_ENOUGH_MS)
  await gate.open()
  expect(await running.done).toMatchObject({code: 0, stderr: ''})
})
