import {readFileSync} from 'node:fs'
import {join} from 'node:path'
import {describe, expect, test} from 'vitest'
import {meaningOf} from '../../../src/db/sqlstate-meanings.ts'
import {packagedBinDir} from '../../support/postgres-binaries.ts'

/** Every SQLSTATE that PostgreSQL knows, as its own list has them. */
const known = [
  ...new Set(
    readFileSync(join(packagedBinDir(), '../share/postgresql/errcodes.txt'), 'utf8')
      .split('\n')
      .flatMap((line) => /^([0-9A-Z]{5}) +[EWS] /.exec(line)?.[1] ?? []),
  ),
  // Gone with 17.
  '72000',
]

/**
 * By code, the SQLSTATEs that mean it outside a refresh, a class in two characters; what is longer comes
 * first.
 */
const EXPECTED = {
  READ_ONLY: ['25006'],
  PERMISSION_DENIED: ['42501'],
  SERVER_RESOURCES: ['53', '58', 'F0', 'XX'],
  TRY_AGAIN: ['40', '55P03', '57', '72'],
  DATABASE_REFUSED: [
    ...['00', '01', '02', '08', '09', '0Z', '10', '20', '22021', '22P05', '23', '27', '28', '2D', '2F'],
    ...['38', '39', '44', '54', '55', 'HV', 'P0'],
  ],
  INTERNAL: [
    ...['03', '08P01', '0A', '0B', '0F', '0L', '0P', '21', '22', '24', '25', '26', '2B', '34', '3B', '3D'],
    ...['3F', '42'],
  ],
}

const expectedCode = (sqlstate: string): string | undefined => {
  const codeOf = (prefix: string) =>
    Object.entries(EXPECTED).find(([, prefixes]) => prefixes.includes(prefix))?.[0]
  return codeOf(sqlstate) ?? codeOf(sqlstate.slice(0, 2))
}

describe('outside a refresh', () => {
  test('the list of SQLSTATEs is that of PostgreSQL', () => {
    expect(known.length).toBeGreaterThan(250)
    expect(known).toEqual(expect.arrayContaining(['00000', '22P05', '40P01', '42P22', '57014', 'XX002']))
  })

  test.each(known)('%s has its code, and says what to do', (sqlstate) => {
    const {code, hint, remedy} = meaningOf(sqlstate)
    expect(code).toBe(expectedCode(sqlstate))
    if (code === 'INTERNAL') expect({hint, remedy}).toEqual({remedy: {kind: 'report-bug'}})
    else expect({hint, remedy}).toEqual({hint: expect.stringMatching(/\S/)})
  })

  test.each(['KX001', 'AB', ''])('%j, which no list has, is the decision of the database', (sqlstate) => {
    expect(meaningOf(sqlstate).code).toBe('DATABASE_REFUSED')
  })
})
