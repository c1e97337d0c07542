import {beforeEach, expect, test} from 'vitest'
import {DueLooks} from '../../../../src/core/worker/due-looks.ts'

const LOCKS = {firstMs: 100, intervalMs: 20}
const CONNECTION = {firstMs: 5000, intervalMs: 10_000}

let now: number
let looks: DueLooks<typeof LOCKS>

beforeEach(() => {
  now = 1000
  looks = new DueLooks(() => now)
})

test('without a look, nothing is due, now or later', () => {
  expect(looks.due).toEqual([])
  expect(looks.untilDueMs).toBeNull()
})

test('each look is due after its own first pause', () => {
  looks.add(CONNECTION)
  expect(looks.untilDueMs).toBe(5000)
  now += 4950
  looks.add(LOCKS)
  expect(looks.untilDueMs).toBe(50)
  expect(looks.due).toEqual([])
  now += 50
  expect(looks.due).toEqual([CONNECTION])
  expect(looks.untilDueMs).toBe(0)
})

test('a timer that fires a millisecond early finds the look due', () => {
  looks.add(LOCKS)
  now += 98
  expect(looks.due).toEqual([])
  now += 1
  expect(looks.due).toEqual([LOCKS])
})

test('a look is due again an interval after its end', () => {
  looks.add(LOCKS)
  now += 250
  looks.again(LOCKS)
  expect(looks.due).toEqual([])
  expect(looks.untilDueMs).toBe(20)
})

test('a look that was removed while it was taken is not due again', () => {
  looks.add(LOCKS)
  now += 100
  looks.remove(LOCKS)
  looks.again(LOCKS)
  now += 1000
  expect(looks.due).toEqual([])
  expect(looks.untilDueMs).toBeNull()
})
