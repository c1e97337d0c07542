import {describe, expect, it} from 'vitest'
import type {RefreshEvent} from '../../../src/lib/refresh-events.ts'
import {progressAfter, progressText} from '../../../src/render/progress-text.ts'
import {displayWidth} from '../../../src/render/width.ts'
import {NAMES, WIDTHS} from './fixtures.ts'

const progress = {
  label: 'Refreshing public.leaderboard',
  detail: 'running its query',
  startedAt: 0,
  usualMs: 5000,
}

describe('progressText', () => {
  it('tells what goes on, for how long, how long it usually takes, and what is left', () => {
    expect(progressText(progress, 1432)).toBe(
      'Refreshing public.leaderboard, running its query  1.4 s (usually 5.0 s, 3.6 s left)',
    )
    expect(progressText(progress, 6000)).toBe(
      'Refreshing public.leaderboard, running its query  6.0 s (usually 5.0 s)',
    )
    expect(progressText({...progress, detail: '', usualMs: null}, 99)).toBe(
      'Refreshing public.leaderboard  0.1 s',
    )
    expect(progressText({...progress, label: 'x', detail: '', usualMs: 3_600_000}, 65_000)).toBe(
      'x  1 m 05 s (usually 1 h 00 m, 58 m 55 s left)',
    )
  })

  it.each([
    [83, 'Refreshing public.leaderboard, running its query  1.4 s (usually 5.0 s, 3.6 s left)'],
    [68, 'Refreshing public.leaderboard, running its query  1.4 s (3.6 s left)'],
    [55, 'Refreshing public.leaderboard, running its query  1.4 s'],
    [49, 'Refreshing public.leaderboard  1.4 s (3.6 s left)'],
    [36, 'Refreshing public.leaderboard  1.4 s'],
    [20, 'Refres…rboard  1.4 s'],
    [4, 'Re…d'],
  ])('in %i columns, keeps the time for longest', (columns, text) => {
    expect(progressText(progress, 1432, columns)).toBe(text)
    expect(progressText(progress, 1432, columns - 1)).not.toBe(text)
  })

  it.each(WIDTHS)('is one line of at most %i columns', (columns) => {
    for (const name of NAMES) {
      const text = progressText({...progress, label: `Refreshing ${name}`, detail: name}, 1432, columns)
      expect(displayWidth(text)).toBeLessThanOrEqual(columns)
      expect(text).not.toMatch(/\p{Cc}/u)
    }
  })
})

describe('progressAfter', () => {
  it.each<[RefreshEvent, string]>([
    [{type: 'phase', phase: {name: 'query'}}, 'running its query'],
    [{type: 'phase', phase: {name: 'index', number: 2, total: 3}}, 'building index 2 of 3'],
    [{type: 'phase', phase: {name: 'analyze', percent: 41}}, 'analyzing the result, 41 %'],
    [{type: 'phase', phase: {name: 'compare'}}, 'comparing the result'],
    [{type: 'phase', phase: {name: 'merge'}}, 'writing what differs'],
    [{type: 'refreshing'}, ''],
  ])('%j tells what a refresh does', (event, detail) => {
    expect(progressAfter(event, 'public.v')).toEqual({label: 'Refreshing public.v', detail})
  })

  it('keeps what is shown for what is no progress', () => {
    expect(progressAfter({type: 'warning', message: 'x'}, 'public.v')).toEqual({})
    expect(progressAfter({type: 'usual', durationMs: 5}, 'public.v')).toEqual({usualMs: 5})
  })
})
