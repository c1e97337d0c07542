import {stripVTControlCharacters} from 'node:util'
import fc from 'fast-check'
import stringWidth from 'string-width'
import {describe, expect, it} from 'vitest'
import {type Column, renderTable} from '../../../src/render/table.ts'
import {NAMES, PIPE, terminalOf, WIDTHS} from './fixtures.ts'

interface Row {
  name: string
  size: number | null
  note: string | null
}

const COLUMNS: Column<Row>[] = [
  {header: 'NAME', value: (row) => row.name, priority: 9, minWidth: 12},
  {
    header: 'SIZE',
    value: (row) => row.size,
    display: (row) => (row.size === null ? null : `${row.size} MB`),
    align: 'right',
    style: (_, row) => ((row.size ?? 0) > 100 ? 'red' : null),
    priority: 5,
  },
  {header: '', value: (row) => row.size, display: () => '██', priority: 1, terminalOnly: true},
  {header: 'NOTE', value: (row) => row.note, priority: 3, minWidth: 8, omitWhenEmpty: true},
]

const ROWS: Row[] = [
  {name: 'leaderboard', size: 12, note: null},
  {name: 'weekly', size: 1234, note: 'slow'},
  {name: 'never filled', size: null, note: null},
]

describe('on a terminal', () => {
  it('draws a table without borders and without trailing spaces', () => {
    expect(renderTable(ROWS, COLUMNS, terminalOf(80))).toBe(
      [
        'NAME             SIZE      NOTE',
        'leaderboard     12 MB  ██  -',
        'weekly        1234 MB  ██  slow',
        'never filled        -  ██  -',
      ].join('\n'),
    )
  })

  it('leaves out a column where nothing is to be said', () => {
    expect(renderTable(ROWS.slice(0, 1), COLUMNS, terminalOf(80))).toBe(
      'NAME          SIZE\nleaderboard  12 MB  ██',
    )
  })

  it('shortens, then drops by priority', () => {
    const rows = [{name: 'x'.repeat(30), size: 12, note: 'a note that is long'}]
    const lines = (columns: number) => renderTable(rows, COLUMNS, terminalOf(columns)).split('\n')
    expect(lines(50)).toEqual([
      'NAME                 SIZE      NOTE',
      'xxxxxxxxxxxxxxxxx…  12 MB  ██  a note that is long',
    ])
    expect(lines(40)).toEqual(['NAME            SIZE      NOTE', 'xxxxxxxxxxxx…  12 MB  ██  a note that i…'])
    expect(lines(30)).toEqual(['NAME           SIZE  NOTE', 'xxxxxxxxxxx…  12 MB  a note t…'])
    expect(lines(20)).toEqual(['NAME            SIZE', 'xxxxxxxxxxxx…  12 MB'])
  })

  it('colours the words and nothing else', () => {
    const text = renderTable(ROWS, COLUMNS, terminalOf(80, {FORCE_COLOR: '1'}))
    expect(text).toContain('  \u001b[31m1234 MB\u001b[39m  ')
    expect(text).toContain('\u001b[1mNAME\u001b[22m  ')
    expect(stripVTControlCharacters(text)).toBe(renderTable(ROWS, COLUMNS, terminalOf(80)))
  })

  it.each(WIDTHS)('fits %i columns whatever the names', (columns) => {
    const rows = NAMES.map((name) => ({name, size: 12, note: name}))
    for (const env of [{NO_COLOR: '1'}, {FORCE_COLOR: '1'}]) {
      const lines = renderTable(rows, COLUMNS, terminalOf(columns, env)).split('\n')
      expect(lines).toHaveLength(rows.length + 1)
      for (const line of lines) expect(stringWidth(line)).toBeLessThanOrEqual(columns)
    }
  })

  it('draws thousands of rows and a megabyte of text in seconds', () => {
    const rows = Array.from({length: 2000}, (_, size) => ({name: `view_${size}`, size, note: null}))
    const lines = renderTable(
      [...rows, {name: 'é'.repeat(1e6), size: 1, note: null}],
      COLUMNS,
      terminalOf(40),
    )
    expect(lines.split('\n')).toHaveLength(2002)
    expect(
      new Set(
        lines
          .split('\n')
          .slice(1)
          .map((line) => line.indexOf(' MB')),
      ).size,
    ).toBe(1)
  }, 10_000)

  it('aligns columns behind wide and combining characters', () => {
    const rows = ['週間', '👩‍👩‍👧‍👦', 'e\u0301', 'plain'].map((name) => ({name, size: 1, note: null}))
    const lines = renderTable(rows, COLUMNS, terminalOf(80)).split('\n')
    const starts = lines.slice(1).map((line) => stringWidth(line.slice(0, line.indexOf('1 MB'))))
    expect(new Set(starts).size).toBe(1)
  })

  it('never fails to fit, and lets no escape sequence through', () => {
    const text = fc.oneof(
      fc.string({unit: 'binary'}),
      fc.string({unit: 'grapheme'}),
      fc.constantFrom(...NAMES),
    )
    const row = fc.record({
      name: text,
      size: fc.option(fc.integer({min: 0, max: 1e9})),
      note: fc.option(text),
    })
    fc.assert(
      fc.property(fc.array(row, {maxLength: 3}), fc.integer({min: 20, max: 120}), (rows, columns) => {
        const lines = renderTable(rows, COLUMNS, terminalOf(columns)).split('\n')
        expect(lines).toHaveLength(rows.length + 1)
        for (const line of lines) {
          expect(stringWidth(line)).toBeLessThanOrEqual(columns)
          expect(line).not.toMatch(/\p{Cc}| $/u)
        }
      }),
    )
  })
})

describe('off a terminal', () => {
  it('writes exact values, one record a line, without header', () => {
    expect(renderTable(ROWS, COLUMNS, PIPE)).toBe('leaderboard\t12\t\nweekly\t1234\tslow\nnever filled\t\t')
  })

  it('stays plain under FORCE_COLOR', () => {
    const forced = {...PIPE, style: terminalOf(80, {FORCE_COLOR: '1'}).style}
    expect(renderTable(ROWS, COLUMNS, forced)).toBe(renderTable(ROWS, COLUMNS, PIPE))
  })

  it('is empty for an empty list', () => {
    expect(renderTable([], COLUMNS, PIPE)).toBe('')
  })

  it('keeps one record on one line whatever it holds', () => {
    fc.assert(
      fc.property(fc.array(fc.string({unit: 'binary'}), {minLength: 1}), (names) => {
        const lines = renderTable(
          names.map((name) => ({name, size: 1, note: name})),
          COLUMNS,
          PIPE,
        ).split(/\r|\n|\u2028|\u2029/)
        expect(lines).toHaveLength(names.length)
        for (const line of lines) expect(line.split('\t')).toHaveLength(3)
        expect(lines.join('')).not.toMatch(/[^\P{Cc}\t]/u)
      }),
    )
  })
})
