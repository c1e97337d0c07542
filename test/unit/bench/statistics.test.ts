import {describe, expect, test} from 'vitest'
import {describeValues, median, medianRatio, quantile, spread} from '../../bench/statistics.ts'

describe('the statistics of the benchmark', () => {
  test('a quantile between two values lies on the line between them', () => {
    expect(quantile([4, 1, 3, 2], 0.5)).toBe(2.5)
    expect(quantile([1, 2, 3, 4, 5], 0.25)).toBe(2)
    expect(quantile([10, 20], 0.99)).toBeCloseTo(19.9)
    expect([quantile([7, 9], 0), quantile([7, 9], 1)]).toEqual([7, 9])
  })

  test('the median of one value is that value, and of none there is none', () => {
    expect(median([42])).toBe(42)
    expect(() => median([])).toThrow('no values')
  })

  test('values stay in the order they had', () => {
    const values = [3, 1, 2]
    median(values)
    expect(values).toEqual([3, 1, 2])
  })

  test('the spread is half of what the middle half of the values covers', () => {
    expect(spread([1, 2, 3, 4, 5])).toBe(1)
    expect(spread([5])).toBe(0)
  })

  test('values are described by median, unit and spread, with more digits the smaller they are', () => {
    expect(describeValues([300, 312, 328], 'ms')).toBe('312 ms (±7)')
    expect(describeValues([1.25, 1.25], 'ms')).toBe('1.25 ms (±0.00)')
    expect(describeValues([45.678], 'jobs/s')).toBe('45.7 jobs/s')
  })

  test('a slow round of both sides does not change the ratio', () => {
    expect(medianRatio([100, 10, 100], [200, 20, 200])).toBe(0.5)
    expect(medianRatio([100, 110, 120], [220])).toBe(0.5)
  })
})
