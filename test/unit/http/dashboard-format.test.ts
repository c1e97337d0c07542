import {expect, it} from 'vitest'
import {formatElapsed, partsAround} from '../../../src/http/dashboard/client/format.ts'

it.each([
  [-200, '0 s'],
  [12_900, '12 s'],
  [250_000, '4 m 10 s'],
  [7_500_000, '2 h 05 m'],
])('a clock at %i ms shows %s, as a command line does', (ms, expected) => {
  expect(formatElapsed(ms)).toBe(expected)
})

it.each([
  ['public.sales is stale', ['', ' is stale']],
  ['there is no view public.sales.', ['there is no view ', '.']],
  [
    'the schedule public.sales_daily fails: there is no view public.sales',
    ['the schedule public.sales_daily fails: there is no view ', ''],
  ],
  ['notpublic.sales and public.sales2', null],
  ['public.sales.daily', null],
])('the first mention of a view in "%s" is no part of a longer name', (text, parts) => {
  expect(partsAround(text, 'public.sales')).toEqual(parts)
})

it('a mention is found whatever characters the name has', () => {
  expect(partsAround('of s.a+(b) too', 's.a+(b)')).toEqual(['of ', ' too'])
})
