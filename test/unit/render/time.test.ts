import {expect, it} from 'vitest'
import {formatDue, formatRelative} from '../../../src/render/time.ts'
import {NOW} from './fixtures.ts'

const SECOND = 1000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

it.each([
  [0, 'just now'],
  [-9 * SECOND, 'just now'],
  [1 * SECOND, 'just now'],
  [-10 * SECOND, '10 seconds ago'],
  [5 * SECOND, 'in 5 seconds'],
  [-59.4 * SECOND, '59 seconds ago'],
  [-59.6 * SECOND, '1 minute ago'],
  [-3 * MINUTE, '3 minutes ago'],
  [-59.6 * MINUTE, '1 hour ago'],
  [2 * HOUR, 'in 2 hours'],
  [-23.6 * HOUR, '1 day ago'],
  [-5 * DAY, '5 days ago'],
  [-30 * DAY, '30 days ago'],
  [30 * DAY, 'in 30 days'],
  [-31 * DAY, '2026-01-29'],
  [400 * DAY, '2027-04-05'],
])('an instant %i ms from now is %s', (offset, expected) => {
  expect(formatRelative(new Date(NOW.getTime() + offset).toISOString(), NOW)).toBe(expected)
})

it.each([
  [2 * HOUR, 'in 2 hours'],
  [1 * SECOND, 'in 1 second'],
  [0, 'due now'],
  [-9 * SECOND, 'due now'],
  [-25 * SECOND, '25 seconds overdue'],
  [-3 * MINUTE, '3 minutes overdue'],
  [-400 * DAY, 'long overdue'],
  [400 * DAY, '2027-04-05'],
])('what is due %i ms from now is %s', (offset, expected) => {
  expect(formatDue(new Date(NOW.getTime() + offset).toISOString(), NOW)).toBe(expected)
})

it('is never where there is none', () => {
  expect(formatRelative(null, NOW)).toBe('never')
})
