import {stripVTControlCharacters} from 'node:util'
import {describe, expect, test} from 'vitest'
import {displayWidth} from '../../src/render/width.ts'
import {ayb} from '../support/ayb.ts'
import {createTestDatabase} from '../support/database.ts'
import {errorOf, register} from '../support/refresh.ts'
import {insertSchedule} from '../support/schedules.ts'
import {linesOf, openTerminal} from '../support/terminal.ts'
import {until} from '../support/until.ts'
import {takeAway} from '../support/worker.ts'

const ESCAPE = '\u001b['
/** The other screen, and the first one again. */
const [BEGIN, END] = [`${ESCAPE}?1049h`, `${ESCAPE}?1049l`]

const LISTS = [
  ['matviews', 'list'],
  ['matviews', 'status'],
  ['matviews', 'history', 'leaderboard'],
  ['schedules', 'list'],
  ['jobs', 'list'],
  ['worker', 'list'],
]

describe.concurrent('--watch', {timeout: 60_000}, () => {
  test('redraws a list with a header and colours, follows changes, and ends well with Ctrl-C', async () => {
    const db = await createTestDatabase({hasTables: true})
    await register(db, 'leaderboard')
    const terminal = openTerminal(['matviews', 'list', '--watch'], {url: db.url, columns: 100})
    await terminal.waitFor(/Every 2 s: ayb matviews list --watch +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4}/)
    await terminal.waitFor(/public\.leaderboard/)
    await db.query(`insert into _ayb_matview_refreshes (view_name) values ('another')`)
    // A whole frame: the terminal drops output that nobody has read yet when Ctrl-C is typed.
    await until(() => terminal.output().split('public.another')[1]?.includes(`${ESCAPE}J`), {
      what: 'the end of the frame',
    })
    terminal.write('\x03')
    const {code, output} = await terminal.done
    expect(code).toBe(0)
    // A slow connection is told before.
    expect(linesOf(output.slice(0, output.indexOf(BEGIN)))).toEqual([''])
    expect(output.endsWith(END)).toBe(true)
    expect(output.split(BEGIN)).toHaveLength(2)
    // A frame is written over the one before.
    const frames = output.split(`${ESCAPE}H`).slice(1)
    expect(frames.length).toBeGreaterThan(1)
    for (const frame of frames) expect(frame).toContain(`${ESCAPE}J`)
    expect(frames[0]).toContain(`${ESCAPE}1m`)
  })

  test.each(LISTS)('works for ayb %s %s', async (...args) => {
    const db = await createTestDatabase({hasTables: true})
    await register(db, 'leaderboard')
    const terminal = openTerminal([...args, '--watch'], {url: db.url})
    await terminal.waitFor(new RegExp(`Every 2 s: ayb ${args.join(' ')} --watch`))
    terminal.write('\x03')
    expect((await terminal.done).code).toBe(0)
  })

  test('shows as much as the terminal has room for, at each size', async () => {
    const db = await createTestDatabase({hasTables: true})
    await db.query(
      `insert into _ayb_matview_refreshes (view_name) select 'view_' || n from generate_series(1, 50) n`,
    )
    const terminal = openTerminal(['matviews', 'list', '--watch'], {url: db.url, columns: 60, rows: 12})
    await terminal.waitFor(/… and 43 more lines[^\n]*\n50 views: /)
    const [, frame = ''] = stripVTControlCharacters(terminal.output()).split('Every 2 s')
    expect(frame.trimEnd().split('\r\n').length).toBeLessThanOrEqual(12)
    terminal.resize(100, 80)
    await terminal.waitFor(/view_50[\s\S]*50 views/)
    terminal.kill('SIGTERM')
    expect((await terminal.done).code).toBe(143)
  })

  test('keeps the whole summary and the warnings where a narrow terminal cuts the list', async () => {
    const db = await createTestDatabase({hasTables: true})
    await db.query(
      `insert into _ayb_jobs (type, payload, state, completed_at) select 'materialized_view_refresh',
        '{"schema": "public", "view_name": "leaderboard"}', 'completed', now() from generate_series(1, 30)`,
    )
    await insertSchedule(db, 'odd', {view: 'leaderboard', cron: 'now and then'})
    for (let n = 1; n <= 20; n++) await insertSchedule(db, `hourly_${n}`, {view: 'leaderboard'})
    const [jobs, schedules] = [
      openTerminal(['jobs', 'list', '--limit', '30', '--watch'], {url: db.url, columns: 40, rows: 12}),
      openTerminal(['schedules', 'list', '--watch'], {url: db.url, columns: 60, rows: 14}),
    ]
    await jobs.waitFor(
      /… and 24 more lines[^\n]*\n30 jobs: 30 completed; these are the[^\n]*\nnewest, --limit shows more/,
    )
    await schedules.waitFor(/… and \d+ more lines[^\n]*\n21 schedules: [^\n]*\n[^\n]*Warning:.* schedule odd/)
    for (const [terminal, columns, rows] of [
      [jobs, 40, 12],
      [schedules, 60, 14],
    ] as const) {
      const [, frame = ''] = stripVTControlCharacters(terminal.output()).split('Every 2 s')
      const heights = frame.split('\r\n').map((line) => Math.ceil(displayWidth(line) / columns) || 1)
      expect(heights.reduce((sum, height) => sum + height)).toBeLessThanOrEqual(rows)
      terminal.write('\x03')
      expect((await terminal.done).code).toBe(0)
    }
  })

  test('shows an error in place of the list, and goes on when the database is back', async () => {
    const db = await createTestDatabase({hasTables: true})
    await register(db, 'leaderboard')
    const terminal = openTerminal(['matviews', 'list', '--watch'], {url: db.url, columns: 100})
    await terminal.waitFor(/public\.leaderboard/)
    const giveBack = await takeAway(db)
    await terminal.waitFor(/Error:.*[\s\S]*Hint:/)
    await giveBack()
    await terminal.waitFor(/Error:[\s\S]*public\.leaderboard/)
    terminal.write('\x03')
    expect((await terminal.done).code).toBe(0)
  })

  test('is refused without a terminal that can be redrawn, and with --json', async () => {
    const piped = await ayb(['matviews', 'list', '--watch'])
    expect(piped).toMatchObject({code: 2, stdout: ''})
    expect(piped.stderr).toMatch(
      /^Error: --watch needs a terminal; .*\nHint: leave out --watch to look once\n$/,
    )
    const json = await ayb(['matviews', 'list', '--watch', '--json'])
    expect(json.code).toBe(2)
    expect(errorOf(json)).toMatchObject({code: 'INVALID_ARGUMENT'})
    const dumb = await openTerminal(['matviews', 'list', '--watch'], {env: {TERM: 'dumb'}}).done
    expect(dumb).toMatchObject({
      code: 2,
      output: expect.stringContaining('--watch needs a terminal that can'),
    })
  })

  test('ends at once, with the error, where the first look fails', async () => {
    const url = 'postgres://nobody@127.0.0.1:1/nothing'
    const {code, output} = await openTerminal(['matviews', 'list', '--watch'], {url}).done
    expect(code).toBe(6)
    expect(output).not.toContain(BEGIN)
  })

  test('ends at once where the first look fails on an open connection', async () => {
    const db = await createTestDatabase({hasTables: true})
    const terminal = openTerminal(['matviews', 'history', 'nothing', '--watch'], {url: db.url})
    const {code, output} = await terminal.done
    expect(code).toBe(3)
    expect(output).toContain('public.nothing is not registered')
    expect(output).not.toContain(BEGIN)
  })
})
