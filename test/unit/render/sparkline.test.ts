import fc from 'fast-check'
import {describe, expect, it} from 'vitest'
import {bar, sparkline} from '../../../src/render/sparkline.ts'
import {displayWidth} from '../../../src/render/width.ts'

describe('sparkline', () => {
  it('rises from zero to the greatest value', () => {
    expect(sparkline([0, 1, 2, 3, 4, 5, 6, 7])).toBe('▁▂▃▄▅▆▇█')
  })

  it('scales to a maximum of its own, and cuts what is above', () => {
    expect(sparkline([7, 14, 20], {max: 14})).toBe('▅██')
  })

  it('leaves gaps for what is absent', () => {
    expect(sparkline([1, null, 1])).toBe('█ █')
  })

  it('shows nothing of nothing, and a flat line for zeros', () => {
    expect(sparkline([])).toBe('')
    expect(sparkline([0, 0])).toBe('▁▁')
  })
})

describe('bar', () => {
  it.each([
    [100, '████'],
    [50, '██'],
    [37.5, '█▌'],
    [1, '▏'],
    [0, ''],
    [null, ''],
    [1000, '████'],
  ])('draws %s of 100 in four columns as %s', (value, expected) => {
    expect(bar(value, 100, 4)).toBe(expected)
  })

  it('draws nothing when the maximum is zero', () => {
    expect(bar(0, 0, 8)).toBe('')
  })

  it('never grows longer than its width', () => {
    fc.assert(
      fc.property(fc.nat(), fc.nat(), fc.integer({min: 1, max: 40}), (value, max, width) => {
        return displayWidth(bar(value, max, width)) <= width
      }),
    )
  })
})
