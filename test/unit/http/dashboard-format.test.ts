import {expect, it} from 'vitest'
import {formatElapsed} from '../../../src/http/dashboard/client/format.ts'

it.each([
  [-200, '0 s'],
  [12_900, '12 s'],
  [250_000, '4 m 10 s'],
  [7_500_000, '2 h 05 m'],
])('a clock at %i ms shows %s, as a command line does', (ms, expected) => {
  expect(formatElapsed(ms)).toBe(expected)
})
