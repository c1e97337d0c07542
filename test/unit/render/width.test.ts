import fc from 'fast-check'
import stringWidth from 'string-width'
import {describe, expect, it} from 'vitest'
import {printable} from '../../../src/lib/printable.ts'
import {displayWidth, shorten} from '../../../src/render/width.ts'
import {NAMES} from './fixtures.ts'

const anyText = fc
  .array(fc.oneof(fc.string({unit: 'grapheme'}), fc.string({unit: 'binary'}), fc.constantFrom(...NAMES)))
  .map((parts) => printable(parts.join('')))

describe('displayWidth', () => {
  it('agrees with string-width, charts and ellipsis included', () => {
    for (const text of ['', 'plain', '…▁▂▃▄▅▆▇█▏▎▍▌▋▊▉', '週間', '👩‍👩‍👧‍👦', 'e\u0301', '🇦🇹']) {
      expect(displayWidth(text)).toBe(stringWidth(text))
    }
    fc.assert(fc.property(anyText, (text) => displayWidth(text) === stringWidth(text)))
  })

  it('is the same for a text that is measured in pieces', () => {
    const long = fc
      .array(fc.constantFrom('ж', '🇦🇹', 'e\u0301', 'a', '👩‍👩‍👧‍👦', '週', '😀'), {minLength: 1, maxLength: 5})
      .map((parts) => parts.join('').repeat(Math.ceil(1500 / parts.join('').length)))
    fc.assert(
      fc.property(long, (text) => displayWidth(text) === stringWidth(text)),
      {numRuns: 30},
    )
  })
})

describe('shorten', () => {
  it.each([
    ['leaderboard', 11, 'leaderboard'],
    ['leaderboard', 10, 'leaderboa…'],
    ['leaderboard', 1, '…'],
    ['leaderboard', 0, ''],
    ['two words', 5, 'two…'],
    ['週間ランキング', 6, '週間…'],
    ['週間ランキング', 7, '週間ラ…'],
    ['👩‍👩‍👧‍👦👩‍👩‍👧‍👦', 3, '👩‍👩‍👧‍👦…'],
    ['👩‍👩‍👧‍👦👩‍👩‍👧‍👦', 2, '…'],
    ['cafe\u0301 noir', 5, 'cafe\u0301…'],
    ['🇦🇹🇩🇪🇨🇭', 4, '🇦🇹…'],
  ])('cuts %s to %i columns', (text, columns, expected) => {
    expect(shorten(text, columns)).toBe(expected)
  })

  it('never takes more columns than it may, nor halves a grapheme', () => {
    const segmenter = new Intl.Segmenter()
    fc.assert(
      fc.property(anyText, fc.integer({min: 0, max: 60}), (text, columns) => {
        const short = shorten(text, columns)
        expect(stringWidth(short)).toBeLessThanOrEqual(columns)
        if (short === text || short === '') return
        const kept = short.slice(0, -1)
        const ends = [...segmenter.segment(text)].map(({index}) => index)
        expect(text.startsWith(kept)).toBe(true)
        expect(ends).toContain(kept.length)
      }),
    )
  })
})
