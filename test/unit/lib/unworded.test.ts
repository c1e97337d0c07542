import {describe, expect, test} from 'vitest'
import type {Remedy} from '../../../src/lib/remedies.ts'
import {notReady, remediable, wordings} from '../../../src/lib/unworded.ts'

const word = (remedy: Remedy) => `do ${remedy.kind}`
const words = wordings(word)
const remedy = {kind: 'list-jobs'} as const

describe('a warning', () => {
  test('that is a text stays as it is', () => {
    expect(words.warning('the disk is full')).toBe('the disk is full')
  })

  test('has its advice behind it, with what the advice is for', () => {
    expect(words.warning(remediable('the job waits', 'to end that', remedy))).toBe(
      'the job waits; to end that: do list-jobs',
    )
    expect(words.warning(remediable('the job waits', null, remedy))).toBe('the job waits; do list-jobs')
  })

  test('without advice is its message', () => {
    expect(words.warning({message: 'the job waits', lead: 'to end that', hint: null, remedy: null})).toBe(
      'the job waits',
    )
  })

  test('of a view that is not ready tells what is missing', () => {
    const blocker = {
      code: 'UNIQUE_INDEX_REQUIRED',
      message: 'no index',
      hint: 'create one',
      remedy: null,
    } as const
    expect(words.warning(notReady(blocker, 'before its first refresh'))).toBe(
      'no index; before its first refresh: create one',
    )
  })
})

describe('a document', () => {
  test('keeps its keys, their order and all but its warnings', () => {
    const document = {jobs: 2, warnings: ['a text', remediable('fact', null, remedy)], later: [1]}
    expect(JSON.stringify(words.document(document))).toBe(
      '{"jobs":2,"warnings":["a text","fact; do list-jobs"],"later":[1]}',
    )
  })

  test.each([[[1, 2]], [undefined], [null], ['text'], [{warning: 1}]])(
    'without warnings is the same: %j',
    (document) => {
      expect(words.document(document)).toBe(document)
    },
  )
})

test('a view has the hints of its blockers in words, and its keys in their order', () => {
  const view = {
    schemaName: 'public',
    viewName: 'sales',
    owner: 'ann',
    populated: false,
    sizeBytes: 0,
    registered: true,
    concurrentReady: false,
    concurrentBlockers: [
      {code: 'NOT_POPULATED', message: 'no rows', hint: null, remedy},
      {code: 'UNIQUE_INDEX_REQUIRED', message: 'no index', hint: 'create one', remedy: null},
    ],
    skippable: true,
    skipBlockers: [],
    parents: [],
    children: [],
  } as const
  const worded = words.view({
    ...view,
    concurrentBlockers: [...view.concurrentBlockers],
    skipBlockers: [],
    parents: [],
    children: [],
  })
  expect(Object.keys(worded)).toEqual(Object.keys(view))
  expect(JSON.stringify(worded.concurrentBlockers)).toBe(
    '[{"code":"NOT_POPULATED","message":"no rows","hint":"do list-jobs"},{"code":"UNIQUE_INDEX_REQUIRED","message":"no index","hint":"create one"}]',
  )
})
