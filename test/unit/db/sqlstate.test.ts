import pg from 'pg'
import {describe, expect, test} from 'vitest'
import {isFatal, StatementError} from '../../../src/db/sqlstate.ts'
import {meaningOf} from '../../../src/db/sqlstate-meanings.ts'
import {ERRORS} from '../../../src/lib/errors.ts'

const thrown = (fields: Partial<pg.DatabaseError>) =>
  Object.assign(new pg.DatabaseError('no', 1, 'error'), {severity: 'ERROR', routine: undefined, ...fields})

const answer = (fields: Partial<pg.DatabaseError>) => new StatementError(thrown(fields))

describe('an answer of Postgres', () => {
  test.each(['53100', '40001', 'P0001', '42703'])('with SQLSTATE %s tells all that Postgres said', (code) => {
    const error = answer({code, detail: 'because'})
    expect(error.message).toContain(`no (because) (SQLSTATE ${code})`)
    expect(error).toMatchObject({
      details: {sqlstate: code, detail: 'because'},
      status: ERRORS[error.code].status,
      exitCode: ERRORS[error.code].exitCode,
    })
  })

  test.each(['53100', '40001', 'P0001'])('with SQLSTATE %s keeps the hint of the server', (code) => {
    expect(answer({code, hint: 'ask the author'}).hint).toBe('ask the author')
    expect(answer({code}).hint).toBe(meaningOf(code).hint)
  })

  test('that is a bug asks for a report, whatever the server advises', () => {
    expect(answer({code: '42883', hint: 'add explicit type casts'})).toMatchObject({
      hint: null,
      remedy: {kind: 'report-bug'},
    })
  })
})

describe('class 08', () => {
  test.each(['08P01', '08006'])('as %s is the end of the session where a pooler says so', (code) => {
    expect(isFatal(thrown({code}))).toBe(true)
  })

  test.each(['08P01', '08006'])('as %s is an answer like any other where Postgres says so', (code) => {
    expect(isFatal(thrown({code, routine: 'dblink_connstr_check'}))).toBe(false)
  })
})
