import {describe, expect, it} from 'vitest'
import type {RefreshedSet, RefreshPlan, SetMember} from '../../../src/lib/records/refreshes.ts'
import {renderHints, renderMember, renderPlan, renderRefreshedSet} from '../../../src/render/refresh-set.ts'
import {setLine, setLines} from '../../../src/render/set-progress.ts'
import {displayWidth} from '../../../src/render/width.ts'
import {NAMES, onTerminal, PIPED, registration, terminalOf, WIDTHS} from './fixtures.ts'

const member = (viewName: string, changes: Partial<SetMember> = {}): SetMember => ({
  registration: registration({viewName}),
  status: 'success',
  reason: null,
  error: null,
  startedAt: '2026-03-01T11:57:00.000Z',
  durationMs: 1200,
  lockWaitMs: 0,
  ...changes,
})

const error = {code: 'REFRESH_FAILED', message: 'it\tfailed', hint: null, status: 500, details: null}
const set: RefreshedSet = {
  refreshes: [
    member('top'),
    member('weekly', {status: 'error', error}),
    member('yearly', {status: 'skipped', reason: 'parent failed', durationMs: null}),
  ],
  counts: {success: 1, unchanged: 0, error: 1, skipped: 1, canceled: 0},
  durationMs: 2500,
  warnings: [],
}

describe('the result of a set', () => {
  it('is a table with a summary on a terminal', () => {
    expect(renderRefreshedSet(set, onTerminal(100)).split('\n')).toEqual([
      'VIEW           STATUS   DURATION  REASON',
      'public.top     success     1.2 s',
      'public.weekly  error       1.2 s',
      'public.yearly  skipped         -  parent failed',
      '',
      '3 views in 2.5 s: 1 success, 1 error, 1 skipped',
      '',
      'Error: it\\tfailed',
    ])
    expect(renderRefreshedSet({...set, refreshes: []}, onTerminal(80))).toBe('No view to refresh')
  })

  it('is a line a view for a pipe, when the view ends', () => {
    expect(renderRefreshedSet(set, PIPED)).toBe('')
    expect(set.refreshes.map((one) => renderMember(one, PIPED))).toEqual([
      'public.top\tsuccess\t1200\t\t',
      'public.weekly\terror\t1200\t\tit\\tfailed',
      'public.yearly\tskipped\t\tparent failed\t',
    ])
    expect(renderMember(member('top'), onTerminal(80))).toBe('')
  })

  it('has each hint once', () => {
    const hinted = member('weekly', {status: 'error', error: {...error, hint: 'do\tthis'}})
    expect(renderHints({...set, refreshes: [hinted, member('top'), hinted]}, terminalOf(80))).toBe(
      'Hint: do\\tthis',
    )
    expect(renderHints(set, terminalOf(80))).toBe('')
  })
})

describe('the plan of a set', () => {
  const name = (viewName: string) => ({schemaName: 'public', viewName})
  const planned = (viewName: string, expectedMs: number | null, parents: string[] = []) => ({
    registration: registration({viewName}),
    mode: 'standard' as const,
    expectedMs,
    parents: parents.map(name),
  })
  const plan: RefreshPlan = {
    waves: [[planned('a', 1000), planned('b', null)], [planned('c', 2000, ['a', 'b'])]],
    criticalPath: [name('a'), name('c')],
    criticalPathMs: 3000,
    expectedMs: 3500,
    warnings: [],
  }

  it('shows waves, and the longest path', () => {
    expect(renderPlan(plan, onTerminal(100)).split('\n')).toEqual([
      'WAVE  VIEW      MODE      USUALLY  AFTER',
      '   1  public.a  standard    1.0 s',
      '   1  public.b  standard        -',
      '   2  public.c  standard    2.0 s  public.a, public.b',
      '',
      '3 views, about 3.5 s (1 of them estimated)',
      'Longest path: public.a → public.c, about 3.0 s',
    ])
    expect(renderPlan({...plan, waves: []}, onTerminal(80))).toBe('No view to refresh')
  })

  it('tells on 60 columns what each view waits for', () => {
    const long = planned('orders_by_region_and_week', 2000, ['orders_by_region', 'orders_by_week'])
    const lines = renderPlan({...plan, waves: [...plan.waves, [long]]}, onTerminal(60)).split('\n')
    expect(lines[0]).toMatch(/^WAVE {2}VIEW +USUALLY {2}AFTER$/)
    expect(lines[4]).toMatch(/^ {3}3 {2}public\.orde\S*…\S*and_week +2\.0 s {2}public\.o\S*…\S*by_week$/)
    for (const line of lines.slice(0, 5)) expect(displayWidth(line)).toBeLessThanOrEqual(60)
  })

  it('keeps the ends of long names, which tell them apart, and wraps the longest path', () => {
    const [a, b] = [31, 32].map((month) => planned(`customer_lifetime_value_by_region_and_month_${month}`, 1))
    const long = {...plan, waves: [[a, b].flatMap((one) => one ?? [])]}
    const path = {...long, criticalPath: long.waves.flat().map(({registration}) => registration)}
    const lines = renderPlan(path, onTerminal(60)).split('\n')
    expect(lines[1]).toMatch(/ public\.cust\S+…\S+31 /)
    expect(lines[2]).toMatch(/ public\.cust\S+…\S+32 /)
    expect(lines.slice(5)).toEqual([
      'Longest path:',
      '  public.customer_lifetime_value_by_region_and_month_31 →',
      '  public.customer_lifetime_value_by_region_and_month_32,',
      '  about 3.0 s',
    ])
  })

  it('is a line a view for a pipe', () => {
    expect(renderPlan(plan, PIPED).split('\n')).toEqual([
      '1\tpublic.a\tstandard\t1000\t',
      '1\tpublic.b\tstandard\t\t',
      '2\tpublic.c\tstandard\t2000\tpublic.a, public.b',
    ])
    expect(renderPlan({...plan, waves: []}, PIPED)).toBe('')
  })

  it('says no times where none are known, and leaves out the middle of a long path', () => {
    const criticalPath = Array.from({length: 20}, (_, index) => name(`v${index}`))
    const text = renderPlan({...plan, criticalPath, criticalPathMs: null, expectedMs: null}, onTerminal(100))
    expect(text.replaceAll('\n  ', ' ')).toMatch(
      /\n3 views, of unknown duration\nLongest path: public.v0 → public.v1 → public.v2 → public.v3 → 13 more → public.v17 → public.v18 → public.v19$/,
    )
  })
})

describe('the lines of a set that runs', () => {
  const {style} = terminalOf(80)
  const linesOf = (views: string[], {columns = 80, rows = 24} = {}) =>
    setLines(
      {
        running: views.map((view, index) => ({
          label: `Refreshing ${view}`,
          detail: '',
          startedAt: 1000,
          usualMs: index === 0 ? 1200 : null,
        })),
        ended: 3,
        total: 12,
      },
      {now: 2400, columns, rows, style},
    )

  it('tell how long each view has taken, and how much is done', () => {
    expect(linesOf(['public.a', 'public.b'])).toEqual([
      'Refreshing public.a  1.4 s (usually 1.2 s)',
      'Refreshing public.b  1.4 s',
      `█████${' '.repeat(15)} 3 of 12`,
    ])
  })

  it('are one line of a log', () => {
    const running = ['public.a', 'public.b', 'public.c', 'public.d', 'public.e'].map((view) => ({
      ...{label: `Refreshing ${view}`, detail: '', startedAt: performance.now() - 31_000, usualMs: null},
    }))
    expect(setLine({running, ended: 3, total: 12})).toMatch(
      /^3 of 12 views done; Refreshing public\.a {2}31\.\d s; .*; Refreshing public\.d {2}31\.\d s; and 1 more$/,
    )
  })

  it('are no more than the terminal has', () => {
    const views = Array.from({length: 30}, (_, index) => `public.v${index}`)
    const lines = linesOf(views, {rows: 10})
    expect(lines).toHaveLength(9)
    expect(lines[7]).toBe('… and 23 more')
  })

  it.each(WIDTHS)('fit %i columns', (columns) => {
    for (const line of linesOf(NAMES, {columns})) {
      expect(displayWidth(line)).toBeLessThanOrEqual(columns)
      expect(line).not.toMatch(/\p{Cc}/u)
    }
  })
})
