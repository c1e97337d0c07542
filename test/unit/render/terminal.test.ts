import {describe, expect, it} from 'vitest'
import {describeTerminal} from '../../../src/render/terminal.ts'

const TTY = {isTTY: true, columns: 100}
const PIPE = {}

describe('describeTerminal', () => {
  it.each([
    ['a terminal', TTY, {TERM: 'xterm'}, 1],
    ['a terminal of 256 colours', TTY, {TERM: 'xterm-256color'}, 2],
    ['a terminal of all colours', TTY, {TERM: 'xterm-256color', COLORTERM: 'truecolor'}, 3],
    ['a dumb terminal', TTY, {TERM: 'dumb'}, 0],
    ['a pipe', PIPE, {TERM: 'xterm-256color', COLORTERM: 'truecolor'}, 0],
    ['NO_COLOR', TTY, {TERM: 'xterm', NO_COLOR: '1'}, 0],
    ['NO_COLOR of any text', TTY, {TERM: 'xterm', NO_COLOR: 'false'}, 0],
    ['an empty NO_COLOR', TTY, {TERM: 'xterm', NO_COLOR: ''}, 1],
    ['NO_COLOR against FORCE_COLOR', TTY, {TERM: 'xterm', NO_COLOR: '1', FORCE_COLOR: '3'}, 0],
    ['FORCE_COLOR off', TTY, {TERM: 'xterm', FORCE_COLOR: '0'}, 0],
    ['FORCE_COLOR false', TTY, {TERM: 'xterm', FORCE_COLOR: 'false'}, 0],
    ['FORCE_COLOR empty, in a pipe', PIPE, {FORCE_COLOR: ''}, 1],
    ['FORCE_COLOR true, in a pipe', PIPE, {FORCE_COLOR: 'true'}, 1],
    ['FORCE_COLOR 1, in a pipe', PIPE, {FORCE_COLOR: '1'}, 1],
    ['FORCE_COLOR 2, in a pipe', PIPE, {FORCE_COLOR: '2'}, 2],
    ['FORCE_COLOR 3, in a pipe', PIPE, {FORCE_COLOR: '3'}, 3],
    ['FORCE_COLOR on a dumb terminal', TTY, {TERM: 'dumb', FORCE_COLOR: '1'}, 1],
    ['CI on a terminal', TTY, {TERM: 'xterm', CI: 'true'}, 1],
  ])('colours %s', (_, stream, env, level) => {
    const terminal = describeTerminal(stream, env)
    expect(terminal.colorLevel).toBe(level)
    expect(terminal.style.red('x')).toBe(level === 0 ? 'x' : '\u001b[31mx\u001b[39m')
  })

  it.each([
    ['a terminal', TTY, {TERM: 'xterm'}, true],
    ['a terminal without colour', TTY, {TERM: 'xterm', NO_COLOR: '1'}, true],
    ['a pipe', PIPE, {TERM: 'xterm'}, false],
    ['a pipe with colour', PIPE, {TERM: 'xterm', FORCE_COLOR: '1'}, false],
    ['a dumb terminal', TTY, {TERM: 'dumb'}, false],
    ['CI', TTY, {TERM: 'xterm', CI: '1'}, false],
    ['CI=false', TTY, {TERM: 'xterm', CI: 'false'}, true],
    ['an empty CI', TTY, {TERM: 'xterm', CI: ''}, true],
  ])('animates %s: %4$s', (_, stream, env, isAnimated) => {
    expect(describeTerminal(stream, env).isAnimated).toBe(isAnimated)
  })

  it('takes 80 columns where none are known', () => {
    expect(describeTerminal(TTY, {}).columns).toBe(100)
    expect(describeTerminal({isTTY: true}, {}).columns).toBe(80)
    expect(describeTerminal({isTTY: true, columns: 0}, {}).columns).toBe(80)
    expect(describeTerminal({isTTY: true, columns: 0}, {}).isAnimated).toBe(false)
  })

  it('styles by name, and nothing where there is nothing', () => {
    const {style} = describeTerminal(TTY, {TERM: 'xterm'})
    expect(style.bold('x')).toBe('\u001b[1mx\u001b[22m')
    expect(style.dim('x')).toBe('\u001b[2mx\u001b[22m')
    expect(style.green('')).toBe('')
  })
})
