import {expect, test} from 'vitest'
import {BoundedMap} from '../../../src/lib/bounded-map.ts'

const valuesOf = (map: BoundedMap<string, number>) => ['a', 'b', 'c'].map((key) => map.get(key))

test('a full map forgets the entry that was added first', () => {
  const map = new BoundedMap<string, number>(2)
  map.set('a', 1)
  map.set('b', 2)
  expect(valuesOf(map)).toEqual([1, 2, undefined])
  map.set('c', 3)
  expect(valuesOf(map)).toEqual([undefined, 2, 3])
})

test('a value that is set again is new, and takes no second place', () => {
  const map = new BoundedMap<string, number>(2)
  map.set('a', 1)
  map.set('b', 2)
  map.set('a', 3)
  expect(valuesOf(map)).toEqual([3, 2, undefined])
  map.set('c', 4)
  expect(valuesOf(map)).toEqual([3, undefined, 4])
})

test('a deleted entry makes room', () => {
  const map = new BoundedMap<string, number>(2)
  map.set('a', 1)
  map.set('b', 2)
  map.delete('a')
  map.set('c', 3)
  expect(valuesOf(map)).toEqual([undefined, 2, 3])
})
