import type pg from 'pg'
import Query from 'pg/lib/query.js'
import {expect, test} from 'vitest'
import {Script} from '../../../../src/db/session/script.ts'

/** The part of the driver that answers of a server reach; its types lack it. */
interface Answered {
  text: string
  handleRowDescription(message: {fields: object[]}): void
  handleDataRow(message: {fields: string[]}): void
  handleCommandComplete(message: {text: string}): void
  handleReadyForQuery(): void
  handleError(error: Error): void
}

/** A script that was sent to a connection, whose answers the test gives. */
function send(text: string) {
  let query: Answered | undefined
  const client = {
    query(sent: Answered) {
      query = sent
    },
    getTypeParser: () => (value: string) => value,
  }
  const script = new Script({client: client as unknown as pg.Client, Query}, text)
  const rows = script.run()
  if (!query) throw new Error('nothing was sent')
  return {script, rows, query}
}

/** Answers one statement with values of a single column. */
const answer = (query: Answered, name: string, values: string[]): void =>
  answerRows(
    query,
    [name],
    values.map((value) => [value]),
  )

function answerRows(query: Answered, names: string[], rows: string[][]): void {
  query.handleRowDescription({fields: names.map((name) => ({name, dataTypeID: 25, format: 'text'}))})
  for (const fields of rows) query.handleDataRow({fields})
  query.handleCommandComplete({text: `SELECT ${rows.length}`})
}

test('a script is one message, and returns the rows of each statement', async () => {
  const {script, rows, query} = send('select a; refresh b; select c')
  expect(query.text).toBe('select a; refresh b; select c')
  expect(script.statementsDone).toBe(0)
  answer(query, 'a', ['1', '2'])
  query.handleCommandComplete({text: 'REFRESH MATERIALIZED VIEW'})
  answer(query, 'c', ['3'])
  expect(script.statementsDone).toBe(3)
  query.handleReadyForQuery()
  expect(await rows).toEqual([[{a: '1'}, {a: '2'}], [], [{c: '3'}]])
})

test('each row has its own columns and values, whatever rows were read before', async () => {
  const {rows, query} = send('several')
  answerRows(
    query,
    ['a', 'b'],
    [
      ['1', '2'],
      ['3', '4'],
    ],
  )
  answerRows(query, ['a,b'], [['5']])
  answerRows(query, ['same', 'same'], [['6', '7']])
  answerRows(query, ['__proto__', 'a'], [['8', '9']])
  answerRows(query, ['a', 'b'], [['10', '11']])
  query.handleReadyForQuery()
  const [pair, joined, twice, ofProto, again] = (await rows) as Record<string, string>[][]
  expect(pair).toEqual([
    {a: '1', b: '2'},
    {a: '3', b: '4'},
  ])
  expect(joined).toEqual([{'a,b': '5'}])
  expect(twice).toEqual([{same: '7'}])
  expect(Object.entries(ofProto?.[0] ?? {})).toEqual([
    ['__proto__', '8'],
    ['a', '9'],
  ])
  expect(again).toEqual([{a: '10', b: '11'}])
})

test('an error belongs to the statement behind those that are done', async () => {
  const {script, rows, query} = send('select a; refresh b; select c')
  const refused = new Error('lock not available')
  answer(query, 'a', ['1'])
  query.handleError(refused)
  await expect(rows).rejects.toBe(refused)
  expect(script.statementsDone).toBe(1)
})

test('rows of a statement that failed count for no statement', async () => {
  const {script, rows, query} = send('select a; select b')
  const failed = new Error('division by zero')
  query.handleRowDescription({fields: [{name: 'a', dataTypeID: 25, format: 'text'}]})
  query.handleDataRow({fields: ['1']})
  query.handleError(failed)
  await expect(rows).rejects.toBe(failed)
  expect(script.statementsDone).toBe(0)
})
