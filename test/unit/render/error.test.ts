import {describe, expect, it} from 'vitest'
import {AybError} from '../../../src/lib/errors.ts'
import {renderError, renderWarning} from '../../../src/render/error.ts'
import {INDEX_HINT, PIPE, terminalOf} from './fixtures.ts'

const error = new AybError('UNIQUE_INDEX_REQUIRED', 'public.weekly_totals has no unique index', {
  hint: INDEX_HINT,
})

describe('renderError', () => {
  it('gives message and hint a line each, however narrow the terminal', () => {
    for (const terminal of [terminalOf(20), terminalOf(80), PIPE]) {
      expect(renderError(error, terminal)).toBe(
        `Error: public.weekly_totals has no unique index\nHint: ${INDEX_HINT}`,
      )
    }
  })

  it('colours the labels alone', () => {
    expect(renderError(error, terminalOf(80, {FORCE_COLOR: '1'}))).toBe(
      `\u001b[31mError:\u001b[39m public.weekly_totals has no unique index\n\u001b[36mHint:\u001b[39m ${INDEX_HINT}`,
    )
  })

  it('is one line without a hint, control characters written out', () => {
    const hostile = new AybError('REFRESH_FAILED', 'first\nsecond \u001b[2J\u0007')
    expect(renderError(hostile, terminalOf(80))).toBe('Error: first\\nsecond \\x1b[2J\\x07')
  })
})

describe('renderWarning', () => {
  it('is one line, with a yellow label where there is colour', () => {
    expect(renderWarning('a\nb', PIPE)).toBe('Warning: a\\nb')
    expect(renderWarning('x', terminalOf(80, {FORCE_COLOR: '1'}))).toBe('\u001b[33mWarning:\u001b[39m x')
  })
})
