import fc from 'fast-check'
import {describe, expect, it} from 'vitest'
import {fitColumns} from '../../../src/render/fit.ts'

const GAP = 2
const column = (width: number, minWidth: number, priority: number) => ({width, minWidth, priority})

describe('fitColumns', () => {
  it('leaves columns alone that fit', () => {
    expect(fitColumns([column(10, 5, 1), column(8, 8, 2)], 20, GAP)).toEqual([10, 8])
  })

  it('shortens the widest first, down to its minimum', () => {
    expect(fitColumns([column(30, 5, 1), column(12, 5, 2)], 34, GAP)).toEqual([20, 12])
    expect(fitColumns([column(30, 15, 1), column(12, 5, 2)], 22, GAP)).toEqual([15, 5])
  })

  it('drops the lowest priority when the minimums are too wide, and gives its room to the others', () => {
    expect(fitColumns([column(30, 10, 3), column(10, 10, 1), column(10, 10, 2)], 33, GAP)).toEqual([
      21,
      null,
      10,
    ])
  })

  it('drops the rightmost of equals', () => {
    expect(fitColumns([column(10, 10, 1), column(10, 10, 1)], 15, GAP)).toEqual([10, null])
  })

  it('shortens the last column below its minimum when nothing else is left', () => {
    expect(fitColumns([column(30, 25, 2), column(10, 10, 1)], 20, GAP)).toEqual([20, null])
  })

  it('always fits, and keeps one column', () => {
    const columns = fc.array(
      fc.record({
        width: fc.integer({min: 0, max: 300}),
        minWidth: fc.integer({min: 0, max: 60}),
        priority: fc.integer({min: 1, max: 9}),
      }),
      {minLength: 1, maxLength: 10},
    )
    fc.assert(
      fc.property(columns, fc.integer({min: 1, max: 300}), (given, available) => {
        const kept = fitColumns(given, available, GAP).filter((width) => width !== null)
        const total = kept.reduce((sum, width) => sum + width, GAP * (kept.length - 1))
        expect(kept.length).toBeGreaterThan(0)
        expect(total).toBeLessThanOrEqual(available)
      }),
    )
  })
})

describe('a key', () => {
  it('is not dropped, however low its priority is, and shortened below its minimum at last', () => {
    const key = {...column(20, 12, 1), isKey: true}
    expect(fitColumns([key, column(10, 10, 2)], 20, GAP)).toEqual([20, null])
    expect(fitColumns([key, {...column(20, 12, 2), isKey: true}], 20, GAP)).toEqual([9, 9])
  })
})
