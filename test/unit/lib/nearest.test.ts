import fc from 'fast-check'
import {describe, expect, test} from 'vitest'
import {nearest} from '../../../src/lib/nearest.ts'

const COMMANDS = ['matviews list', 'matviews refresh', 'matviews register', 'migrate', 'schedules list']

describe('the nearest candidate', () => {
  test.each([
    ['migrat', 'migrate'],
    ['matviews refesh', 'matviews refresh'],
    ['MATVIEWS LIST', 'matviews list'],
    ['schedule list', 'schedules list'],
  ])('to %s is %s', (typed, meant) => {
    expect(nearest(typed, COMMANDS)).toBe(meant)
  })

  test.each(['frobnicate', 'x', ''])('to %j is none', (typed) => {
    expect(nearest(typed, COMMANDS)).toBeNull()
  })

  test('to a megabyte is none, at once', () => {
    const names = Array.from({length: 5000}, (_, index) => `a_name_of_some_length_${index}`)
    expect(nearest('name'.repeat(250_000), names)).toBeNull()
  })

  test('is never what was typed, and none among none', () => {
    expect(nearest('migrate', ['migrate'])).toBeNull()
    expect(nearest('migrate', [])).toBeNull()
  })

  test('is found after one slip in a name of some length', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[a-z]{6,20}$/), fc.nat(), (name, position) => {
        const at = position % name.length
        expect(nearest(name.slice(0, at) + name.slice(at + 1), [name])).toBe(name)
        expect(nearest(`${name.slice(0, at)}_${name.slice(at)}`, [name])).toBe(name)
      }),
    )
  })

  test('to a text of 100 kB is found at once', () => {
    const candidates = Array.from({length: 20_000}, (_, n) => `daily_report_${n}`)
    const startedAt = performance.now()
    expect(nearest('x'.repeat(100_000), candidates)).toBeNull()
    expect(nearest('dialy_report_4711', candidates)).toBe('daily_report_4711')
    expect(performance.now() - startedAt).toBeLessThan(3000)
  })

  test('is one of the candidates, whatever is typed', () => {
    fc.assert(
      fc.property(fc.string(), fc.array(fc.string()), (typed, candidates) => {
        expect([null, ...candidates]).toContain(nearest(typed, candidates))
      }),
    )
  })
})
