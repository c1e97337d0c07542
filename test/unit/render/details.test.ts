import {expect, it} from 'vitest'
import {type Field, renderDetails} from '../../../src/render/details.ts'
import {PIPE, terminalOf} from './fixtures.ts'

const FIELDS: Field[] = [
  {label: 'View', value: 'public.leaderboard'},
  {label: 'Status', value: 'error', style: 'red'},
  {label: 'Duration', value: 61_342, display: '1 m 01 s'},
  {label: 'Last refresh', value: null, display: 'never'},
  {label: 'Error', value: null},
  {label: 'As usual', value: 3, display: null},
  {label: 'Note', value: 'two\nlines \u001b[31m'},
]

it('aligns the values on a terminal, and leaves out what is absent', () => {
  expect(renderDetails(FIELDS, terminalOf(80)).split('\n')).toEqual([
    'View:          public.leaderboard',
    'Status:        error',
    'Duration:      1 m 01 s',
    'Last refresh:  never',
    'Note:          two\\nlines \\x1b[31m',
  ])
})

it('wraps between words below the value, and leaves room for words on a narrow terminal', () => {
  const fields = [
    {label: 'View', value: 'public.customer_lifetime_value_by_region'},
    {label: 'Last error', value: 'division by zero in the ledger of a region'},
  ]
  expect(renderDetails(fields, terminalOf(40)).split('\n')).toEqual([
    'View:        public.customer_lifetime_value_by_region',
    'Last error:  division by zero in the',
    '             ledger of a region',
  ])
  expect(renderDetails(fields, terminalOf(10)).split('\n').slice(1)).toEqual([
    'Last error:  division by zero in',
    '             the ledger of a',
    '             region',
  ])
  const [, first, second] = renderDetails(
    fields.map((field) => ({...field, style: 'red' as const})),
    terminalOf(40, {FORCE_COLOR: '1'}),
  ).split('\n')
  expect(first?.endsWith(' \u001b[31mdivision by zero in the\u001b[39m')).toBe(true)
  expect(second).toBe(`${' '.repeat(13)}\u001b[31mledger of a region\u001b[39m`)
})

it('colours a value that has a style', () => {
  expect(renderDetails(FIELDS, terminalOf(80, {FORCE_COLOR: '1'}))).toContain('\u001b[31merror\u001b[39m')
})

it('writes label, tab and exact value off a terminal, absent values too', () => {
  expect(renderDetails(FIELDS, PIPE).split('\n')).toEqual([
    'View\tpublic.leaderboard',
    'Status\terror',
    'Duration\t61342',
    'Last refresh\t',
    'Error\t',
    'As usual\t3',
    'Note\ttwo\\nlines \\x1b[31m',
  ])
})
