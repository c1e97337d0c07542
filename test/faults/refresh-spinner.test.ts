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
  // The median of the successes is usual; a failure says nothing.
  await db.query(
    `insert into _ayb_matview_refresh_runs (schema_name, view_name, refresh_mode, trigger, started_at, duration_ms, status)
     select 'public', 'gated', 'standard', 'manual', now() - n * interval '1 hour', duration, status
       from (values (1, 2000, 'error'), (2, 83456, 'success'), (3, 1, 'success'), (4, 90000, 'success')) r(n, duration, status)`,
  )
})

const ARGS = ['matviews', 'refresh', 'gated']

/** What stands on the line that was cleared last, and below it. */
const afterClearing = (output: string): string =>
  stripVTControlCharacters(output.slice(output.lastIndexOf(`${CSI}1G${CSI}0K`)))

describe('on a terminal', () => {
  test('the spinner shows the view, the time so far, the usual time and what is left, and goes', async () => {
    await gate.close()
    const terminal = openTerminal(ARGS, {url: db.url, columns: 120})
    await terminal.waitFor(/Refreshing public\.gated {2}0\.\d s/)
    await terminal.waitFor(/Refreshing public\.gated.* {2}\d\.\d s \(usually 1 m 23 s, 1 m 2\d s left\)/)
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
    await terminal.waitFor(/Refre…ated {2}/)
    await gate.open()
    const {output} = await terminal.done
    const lines = output.split(CSI).map((part) => part.replace(/^[\d;?]*[A-Za-z]/, ''))
    const drawn = lines.filter((line) => line.includes('Refre…'))
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

  test('NO_COLOR leaves a line without any escape sequence, for a set of views, too', async () => {
    const options = {url: db.url, columns: 120, env: {NO_COLOR: '1'}}
    for (const [args, drawn] of [
      [ARGS, /\rRefreshing public\.gated.* {2}\d\.\d s \(usually/],
      [[...ARGS, '--fail-fast'], /\r0 of 1 views done; Refreshing public\.gated.* {2}\d\.\d s \(usually/],
    ] as const) {
      await gate.close()
      const terminal = openTerminal([...args], options)
      await terminal.waitFor(drawn)
      await gate.open()
      const {code, output} = await terminal.done
      expect(code).toBe(0)
      expect(output).not.toContain('\u001b')
      expect(output).toMatch(/\r +\r\w[^\r]*\r\n/)
    }
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

describe('piped', () => {
  test('nothing is on stderr', async () => {
    await gate.close()
    const running = startAyb(ARGS, {url: db.url})
    await untilRefreshing(db, 'gated', LONG_ENOUGH_MS)
    await gate.open()
    expect(await running.done).toMatchObject({code: 0, stderr: ''})
  })

  test('a line tells every half minute how far one view is, or a set', {timeout: 90_000}, async () => {
    await gate.close()
    const one = startAyb(ARGS, {url: db.url, timeoutMs: 80_000})
    await untilRefreshing(db, 'gated')
    const set = startAyb([...ARGS, '--wait', '--fail-fast'], {url: db.url, timeoutMs: 80_000})
    const quiet = startAyb([...ARGS, '--wait', '--quiet'], {url: db.url, timeoutMs: 80_000})
    await one.waitForOutput(/^Refreshing public\.gated.* {2}3\d\.\d s \(usually .*\)\n$/, 45_000)
    await set.waitForOutput(/^0 of 1 views done; Waiting for public\.gated {2}\d\d\.\d s/, 45_000)
    await gate.open()
    expect(await one.done).toMatchObject({code: 0})
    expect(await set.done).toMatchObject({code: 0})
    expect(await quiet.done).toMatchObject({code: 0, stderr: ''})
  })
})
