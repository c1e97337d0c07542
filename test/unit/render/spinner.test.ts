import {setTimeout as sleep} from 'node:timers/promises'
import {WriteStream} from 'node:tty'
import {stripVTControlCharacters} from 'node:util'
import {afterEach, beforeEach, describe, expect, it, vi} from 'vitest'
import {type Spinner, spinnerText, startSpinner} from '../../../src/render/spinner.ts'
import {displayWidth} from '../../../src/render/width.ts'
import {NAMES, PIPE, terminalOf, WIDTHS} from './fixtures.ts'

describe('spinnerText', () => {
  it('tells what goes on, for how long, and how long it took the last time', () => {
    expect(spinnerText('Refreshing public.leaderboard', 1432, 1200, 80)).toBe(
      'Refreshing public.leaderboard  1.4 s (last time 1.2 s)',
    )
    expect(spinnerText('Refreshing public.leaderboard', 99, null, 80)).toBe(
      'Refreshing public.leaderboard  0.1 s',
    )
    expect(spinnerText('Refreshing', 65_000, 3_600_000, 80)).toBe('Refreshing  1 m 05 s (last time 1 h 00 m)')
  })

  it('keeps the time for longest where it does not fit', () => {
    expect(spinnerText('Refreshing public.leaderboard', 1432, 1200, 40)).toBe(
      'Refreshing public.leaderboard  1.4 s',
    )
    expect(spinnerText('Refreshing public.leaderboard', 1432, 1200, 20)).toBe('Refreshing p…  1.4 s')
    expect(spinnerText('Refreshing', 1432, 1200, 4)).toBe('Ref…')
  })

  it.each(WIDTHS)('is one line of at most %i columns', (columns) => {
    for (const name of NAMES) {
      const text = spinnerText(`Refreshing ${name}`, 1432, 1200, columns)
      expect(displayWidth(text)).toBeLessThanOrEqual(columns)
      expect(text).not.toMatch(/\p{Cc}/u)
    }
  })
})

describe('startSpinner', () => {
  let written = ''
  let spinner: Spinner | undefined

  const start = (columns = 60, terminal = terminalOf(columns)) => {
    spinner = startSpinner({
      stream: fakeTerminal(columns),
      terminal,
      label: 'Refreshing x',
      lastDurationMs: 1200,
    })
    return spinner
  }

  const fakeTerminal = (columns: number): NodeJS.WriteStream => {
    const stream = Object.create(WriteStream.prototype)
    return Object.assign(stream, {
      isTTY: true,
      columns,
      rows: 24,
      write: (text: string) => {
        written += text
        return true
      },
      cursorTo: () => true,
      moveCursor: () => true,
      clearLine: () => {
        written += '<clear>'
        return true
      },
    })
  }

  beforeEach(() => {
    written = ''
  })

  afterEach(() => spinner?.stop())

  it('draws after a moment, follows the label, clears its line and shows the cursor again', async () => {
    const {update, stop} = start()
    expect(written).toBe('')
    await vi.waitFor(() => expect(stripVTControlCharacters(written)).toMatch(/Refreshing x {2}0\.\d s/), 5000)
    expect(written).toContain('\u001b[?25l')
    update('Waiting for pid 4711')
    await vi.waitFor(() => expect(written).toContain('Waiting for pid 4711  '), 5000)
    written = ''
    stop()
    expect(written).toBe('<clear>\u001b[?25h')
    written = ''
    stop()
    await sleep(250)
    expect(written).toBe('')
  })

  it('draws nothing when the work is done at once', async () => {
    start().stop()
    await sleep(400)
    expect(written).toBe('')
  })

  it.each([
    ['in a pipe', PIPE],
    ['on a dumb terminal', terminalOf(80, {TERM: 'dumb'})],
    ['in CI', terminalOf(80, {CI: 'true'})],
  ])('draws nothing %s', async (_, terminal) => {
    const {update, stop} = start(60, terminal)
    update('x')
    await sleep(400)
    stop()
    expect(written).toBe('')
  })

  it('keeps no process alive, and leaves no listener behind', async () => {
    const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length
    const listeners = process.listenerCount('exit')
    const before = timers()
    const {stop} = start()
    expect(timers()).toBe(before)
    const setIntervalSpy = vi.spyOn(globalThis, 'setInterval')
    while (!written.includes('Refreshing x')) await new Promise((resolve) => setImmediate(resolve))
    expect(setIntervalSpy.mock.results.map(({value}) => value.hasRef())).toEqual([false])
    setIntervalSpy.mockRestore()
    expect(process.listenerCount('exit')).toBe(listeners + 1)
    stop()
    expect(process.listenerCount('exit')).toBe(listeners)
  })
})
