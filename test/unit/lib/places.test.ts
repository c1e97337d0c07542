import {expect, test} from 'vitest'
import {Places} from '../../../src/lib/places.ts'

const never = new AbortController().signal
const settled = () => new Promise((resolve) => setImmediate(resolve))

test('places are taken several at once, in the order of the callers', async () => {
  const places = new Places(4)
  const entered: string[] = []
  const take = (name: string, count: number) => places.take(count, never).then(() => entered.push(name))
  await take('ann', 3)
  void take('bob', 4)
  void take('cid', 1)
  await settled()
  expect(entered).toEqual(['ann'])
  // A place is free, but others wait.
  expect(places.tryTake(1)).toBe(false)
  places.give(3)
  await settled()
  expect(entered).toEqual(['ann', 'bob'])
  places.give(4)
  await settled()
  expect(entered).toEqual(['ann', 'bob', 'cid'])
  expect(places.tryTake(4)).toBe(false)
  expect(places.tryTake(3)).toBe(true)
})

test('a caller that leaves the line lets the next one in, and takes nothing', async () => {
  const places = new Places(4)
  await places.take(3, never)
  const leaving = new AbortController()
  const left = places.take(2, leaving.signal)
  const next = places.take(1, never)
  leaving.abort(new Error('gone'))
  await expect(left).rejects.toThrow('gone')
  await next
  places.give(4)
  expect(places.tryTake(4)).toBe(true)
  await expect(places.take(1, leaving.signal)).rejects.toThrow('gone')
})
