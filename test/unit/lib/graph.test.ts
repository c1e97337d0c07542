import {expect, test} from 'vitest'
import {reach, untangle} from '../../../src/lib/graph.ts'
import {edgesOf} from '../core/refresh-set/sets.ts'

const childrenOf = (...paths: string[]) => {
  const {graph, cycles} = untangle(edgesOf(...paths))
  const children = [...graph.children].map(([parent, views]) => `${parent} > ${[...views].sort().join(' ')}`)
  return {children: children.sort(), cycles: cycles.map((views) => views.toSorted())}
}

test('edges lead from parents to children', () => {
  expect(childrenOf('a > b > c', 'a > c')).toEqual({
    children: ['public.a > public.b public.c', 'public.b > public.c'],
    cycles: [],
  })
})

test('the edges inside a cycle go, the others stay', () => {
  expect(childrenOf('a > b > c > d > b', 'd > e')).toEqual({
    children: ['public.a > public.b', 'public.d > public.e'],
    cycles: [['public.b', 'public.c', 'public.d']],
  })
})

test('a view that reads itself is a cycle', () => {
  expect(childrenOf('a > a', 'a > b')).toEqual({children: ['public.a > public.b'], cycles: [['public.a']]})
})

test('two cycles are told apart', () => {
  expect(childrenOf('a > b > a', 'b > c', 'c > d > c').cycles).toEqual(
    expect.arrayContaining([
      ['public.a', 'public.b'],
      ['public.c', 'public.d'],
    ]),
  )
})

test('reach finds all descendants, however deep', () => {
  const depth = 5000
  const path = Array.from({length: depth}, (_, index) => `v${index}`).join(' > ')
  const {graph} = untangle(edgesOf(path))
  expect(reach(['public.v0'], graph.children).size).toBe(depth - 1)
  expect(reach([`public.v${depth - 1}`], graph.parents).size).toBe(depth - 1)
  expect(reach(['public.elsewhere'], graph.children).size).toBe(0)
})
