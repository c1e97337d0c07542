import {expect, test, vi} from 'vitest'
import {KeptStatements} from '../../../../src/db/session/kept-statements.ts'

test('each text and each purpose has one name, and no two share a name', async () => {
  const kept = new KeptStatements()
  const prepare = vi.fn(async () => {})
  expect(kept.nameOf('select $1')).toBe('ayb_1')
  expect(kept.nameOf('select $1, $2')).toBe('ayb_2')
  expect(await kept.prepared('claim', prepare)).toBe('ayb_3')
  expect(kept.nameOf('select $1')).toBe('ayb_1')
  expect(await kept.prepared('claim', prepare)).toBe('ayb_3')
  expect(prepare.mock.calls).toEqual([['ayb_3']])
})

test('a statement that could not be prepared is prepared again, under another name', async () => {
  const kept = new KeptStatements()
  const failure = new Error('no such table')
  const prepare = vi.fn(async () => {})
  prepare.mockRejectedValueOnce(failure)
  await expect(kept.prepared('claim', prepare)).rejects.toBe(failure)
  expect(await kept.prepared('claim', prepare)).toBe('ayb_2')
})

test('all statements that were discarded are kept anew, under names that were never used', async () => {
  const kept = new KeptStatements()
  const prepare = vi.fn(async () => {})
  kept.nameOf('select $1')
  await kept.prepared('claim', prepare)
  kept.forget()
  expect(await kept.prepared('claim', prepare)).toBe('ayb_3')
  expect(kept.nameOf('select $1')).toBe('ayb_4')
  expect(prepare).toHaveBeenCalledTimes(2)
})
