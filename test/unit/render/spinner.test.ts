import {setTimeout as sleep} from 'node:timers/promises'
import {WriteStream} from 'node:tty'
import {stripVTControlCharacters} from 'node:util'
import {afterEach, beforeEach, describe, expect, it, vi} from 'vitest'
import {type Spinner, startSpinner} from '../../../src/render/spinner.ts'
import {PIPE, terminalOf} from './fixtures.ts'

describe('startSpinner', () => {
  let written = ''
  let spinner: Spinner | undefined
  let text = 'Refreshing x'

  const start = (columns = 60, terminal = terminalOf(columns, {FORCE_COLOR: '1'})) => {
    spinner = startSpinner({
      stream: fakeTerminal(columns),
      terminal,
      text: () => text,
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

  it('draws after a moment, follows the text, clears its line and shows the cursor again', async () => {
    const {stop} = start()
    expect(written).toBe('')
    await vi.waitFor(() => expect(stripVTControlCharacters(written)).toMatch(/Refreshing x/), 5000)
    expect(written).toContain('\u001b[?25l')
    text = 'Waiting for pid 4711'
    await vi.waitFor(() => expect(written).toContain('Waiting for pid 4711'), 5000)
    text = 'Refreshing x'
    written = ''
    stop()
    expect(written).toBe('<clear>\u001b[?25h')
    written = ''
    stop()
    await sleep(250)
    expect(written).toBe('')
  })

  it('is a line without any escape sequence where there are no colours', async () => {
    const {stop} = start(60, terminalOf(60))
    await vi.waitFor(() => expect(written).toMatch(/^\rRefreshing x/), 5000)
    text = 'Waiting'
    await vi.waitFor(() => expect(written).toMatch(/\rWaiting {5}$/), 5000)
    text = 'Refreshing x'
    stop()
    expect(written).toMatch(/\r {7,12}\r$/)
    expect(written).not.toContain('\u001b')
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
    const {stop} = start(60, terminal)
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
