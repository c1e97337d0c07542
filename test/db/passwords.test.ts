import {createHash, createHmac, pbkdf2Sync} from 'node:crypto'
import * as fc from 'fast-check'
import {beforeAll, describe, expect, test} from 'vitest'
import {connect} from '../../src/db/connection/connect.ts'
import {saslprep} from '../../src/db/connection/login/saslprep.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'

let db: TestDatabase
let role: string

beforeAll(async () => {
  db = await createTestDatabase()
  role = (await db.createRole('passwords')).name
})

const PASSWORDS: [what: string, password: string][] = [
  ['ASCII, with a control', 'a,b=c\u0001 %'],
  ['a fraction, which SASLprep writes out', 'half a ¼ and ﬁ'],
  ['an emoji beside it, which SASLprep refuses', '¼😀'],
  ['spaces of other kinds', 'a\u00a0b\u3000c\u200bd'],
  ['nothing that is left', '\u00ad\u200d'],
  ['Hebrew alone', 'שלום'],
  ['Hebrew among Latin', 'aשלוםz'],
  ['Hebrew that a digit ends', 'שלום1'],
  ['private use', 'é\ue000'],
  ['accents in two ways', 'e\u0301 é'],
]

describe('ayb logs in with a password that has', () => {
  test.each(PASSWORDS)('%s', async (_, password) => {
    await db.query(`alter role ${role} password ${literal(password)}`)
    const env = {HOME: '/nowhere', PGHOST: db.host, PGPORT: String(db.port), PGDATABASE: db.name}
    const {client} = await connect({
      env: {...env, PGUSER: role, PGPASSWORD: password},
      applicationName: 'ayb test',
    })
    await client.end()
  })
})

/** Characters of every kind that SASLprep tells apart, and any other. */
const character = fc.oneof(
  {weight: 3, arbitrary: fc.constantFrom(...'aZ1 -¼ﬁéא١שﷺ\u0300\u0627\u0628')},
  {weight: 2, arbitrary: fc.constantFrom(...'\u00ad\u00a0\u200b\u0340\u06dd\ue000\uffff😀\u{e0001}\u0221')},
  {weight: 2, arbitrary: fc.integer({min: 1, max: 0x3400}).map((point) => String.fromCodePoint(point))},
  fc.integer({min: 0x3400, max: 0xd7ff}).map((point) => String.fromCodePoint(point)),
  fc.integer({min: 0xe000, max: 0x10ffff}).map((point) => String.fromCodePoint(point)),
)

test('SASLprep is that of the server for whatever password', async () => {
  const passwords = fc.sample(fc.string({unit: character, minLength: 1, maxLength: 5}), 600)
  const secrets = await stored(passwords)
  const wrong = passwords.filter((password, index) => !isSecretOf(saslprep(password), secrets[index] ?? ''))
  expect(wrong.map((password) => JSON.stringify(password))).toEqual([])
  // Both happened.
  expect(passwords.some((password) => saslprep(password) !== password)).toBe(true)
  expect(passwords.some((password) => saslprep(password) !== password.normalize('NFKC'))).toBe(true)
})

/** As the server stores these passwords, with as few rounds as it can. */
async function stored(passwords: readonly string[]): Promise<string[]> {
  const session = await db.connect()
  await session.query(`
    create function pg_temp.stored(password text) returns text language plpgsql as $$
    begin
      execute format('alter role ${role} password %L', password);
      return (select rolpassword from pg_authid where rolname = '${role}');
    end $$`)
  await session.query('set scram_iterations = 1').catch(() => {})
  const {rows} = await session.query<{secret: string}>(
    'select pg_temp.stored(password) as secret from unnest($1::text[]) with ordinality as u (password, n) order by n',
    [passwords],
  )
  return rows.map(({secret}) => secret)
}

/** Whether a secret, `SCRAM-SHA-256$rounds:salt$StoredKey:ServerKey`, comes of a password. */
function isSecretOf(password: string, secret: string): boolean {
  const [, rounds = '', salt = '', key = ''] = secret.split(/[$:]/)
  const salted = pbkdf2Sync(password, Buffer.from(salt, 'base64'), Number(rounds), 32, 'sha256')
  const clientKey = createHmac('sha256', salted).update('Client Key').digest()
  return createHash('sha256').update(clientKey).digest('base64') === key
}

const literal = (text: string): string => `'${text.replaceAll("'", "''")}'`
