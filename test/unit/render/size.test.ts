import fc from 'fast-check'
import {expect, it} from 'vitest'
import {formatBytes} from '../../../src/render/size.ts'

it.each([
  [0, '0 bytes'],
  [812, '812 bytes'],
  [1023, '1023 bytes'],
  [1024, '1 kB'],
  [8192, '8 kB'],
  [12_897_485, '12.3 MB'],
  [1024 * 1024 - 1, '1 MB'],
  [150 * 1024 ** 3, '150 GB'],
  [1.5 * 1024 ** 4, '1.5 TB'],
  [5000 * 1024 ** 5, '5000 PB'],
])('%i bytes are %s', (bytes, expected) => {
  expect(formatBytes(bytes)).toBe(expected)
})

it('stays short', () => {
  fc.assert(fc.property(fc.maxSafeNat(), (bytes) => formatBytes(bytes).length <= 10))
})
