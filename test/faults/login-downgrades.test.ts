import {mkdtempSync, readFileSync, rmSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {afterAll, beforeAll, describe, expect, test} from 'vitest'
import {type Certificate, selfSign} from '../support/certificates.ts'
import {connectOutcome, expectSame, type Outcome, psqlOutcome} from '../support/connection-outcome.ts'
import {installedBinDir} from '../support/postgres-binaries.ts'
import {
  authentication,
  header,
  message,
  type Part,
  playScram,
  READY,
  startScriptedServer,
} from '../support/scripted-server.ts'

const PASSWORD = 'correct-horse'
const BOTH = ['SCRAM-SHA-256-PLUS', 'SCRAM-SHA-256']

const HOME = mkdtempSync(join(tmpdir(), 'ayb-downgrades-'))
/** Debian's psql with the newest libpq: the one that comes with it does not know require_auth. */
const NEW_LIBPQ = {LD_LIBRARY_PATH: join(installedBinDir(), '..', 'lib')}
let shown: {cert: Buffer; key: Buffer}

beforeAll(() => {
  const certificate: Certificate = selfSign('server', {name: 'localhost'})
  shown = {cert: readFileSync(certificate.crt), key: readFileSync(certificate.key)}
})

afterAll(() => rmSync(HOME, {recursive: true}))

/** SCRAM as it should be, and the session behind it. */
const honest =
  (mechanisms = BOTH): Part =>
  async (talk) => {
    await playScram(talk, PASSWORD, {mechanisms})
    await talk.letIn()
  }

const WARNING = message('N', 'SWARNING\0VWARNING\0C01000\0Mauthenticated with an MD5-encrypted password\0\0')

const asking =
  (code: number, data: Buffer | string = ''): Part =>
  async (talk) => {
    talk.send(authentication(code, data))
    await talk.hear()
    await talk.letIn()
  }

/** Says one thing, and takes everything that comes for granted. */
const saying =
  (...messages: Buffer[]): Part =>
  async (talk) => {
    talk.send(...messages)
    await talk.hear()
    await talk.letIn()
  }

const PARTS = {
  'asks for the password in clear text': asking(3),
  'asks for an MD5 hash': asking(5, 'salt'),
  'lets everybody in': (talk) => talk.letIn(),
  'does SCRAM with channel binding': honest(),
  'does SCRAM without channel binding': honest(['SCRAM-SHA-256']),
  'does SCRAM with channel binding alone': honest(['SCRAM-SHA-256-PLUS']),
  'offers what nobody knows': asking(10, 'SCRAM-SHA-1\0\0'),
  'asks for Kerberos': asking(2),
  'signs with a wrong key': async (talk) => {
    await playScram(talk, PASSWORD, {mechanisms: BOTH, signature: 'wrong'})
    await talk.letIn()
  },
  'ends SCRAM with an error': async (talk) => {
    await playScram(talk, PASSWORD, {mechanisms: BOTH, signature: 'refused'})
    await talk.letIn()
  },
  'takes another nonce': async (talk) => {
    await playScram(talk, PASSWORD, {mechanisms: BOTH, nonce: (given) => `x${given}`})
    await talk.letIn()
  },
  'leaves the nonce as it is': async (talk) => {
    await playScram(talk, PASSWORD, {mechanisms: BOTH, nonce: (given) => given})
    await talk.letIn()
  },
  'continues what never began': asking(11, 'r=abc,s=c2FsdA==,i=4096'),
  'begins twice': async (talk) => {
    talk.send(authentication(10, 'SCRAM-SHA-256\0\0'))
    await talk.hear()
    await asking(10, 'SCRAM-SHA-256\0\0')(talk)
  },
  'ends SCRAM where it has to continue': async (talk) => {
    talk.send(authentication(10, 'SCRAM-SHA-256\0\0'))
    await talk.hear()
    await asking(12, `v=${Buffer.alloc(32).toString('base64')}`)(talk)
  },
  'offers SCRAM, and asks for the password in clear text': async (talk) => {
    talk.send(authentication(10, `${BOTH.join('\0')}\0\0`))
    await talk.hear()
    await asking(3)(talk)
  },
  'offers SCRAM, and lets everybody in': async (talk) => {
    talk.send(authentication(10, `${BOTH.join('\0')}\0\0`))
    await talk.hear()
    await talk.letIn()
  },
  'does not sign': async (talk) => {
    await playScram(talk, PASSWORD, {mechanisms: BOTH, signature: 'none'})
    await talk.letIn()
  },
  'begins the session without a log-in': saying(READY),
  'sends a setting before the log-in': saying(message('S', 'a\0b\0'), authentication(0)),
  'announces a log-in of 2 GB': saying(header('R', 0x7fffffff)),
  'warns before it asks': async (talk) => {
    talk.send(WARNING)
    await honest()(talk)
  },
  'warns before it lets in': async (talk) => {
    await playScram(talk, PASSWORD, {mechanisms: BOTH})
    talk.send(WARNING)
    await talk.letIn()
  },
  // PostgreSQL 19 warns of MD5 passwords there.
  'asks for an MD5 hash, lets in, and warns of that': async (talk) => {
    talk.send(authentication(5, 'salt'))
    await talk.hear()
    talk.send(authentication(0), WARNING)
    await talk.letInBehind()
  },
} satisfies Record<string, Part>
type PartName = keyof typeof PARTS

interface Setting {
  query?: string
  isTls?: boolean
  env?: Record<string, string>
}

/** What one of them makes of the server that plays a part, and what it sent there. */
async function meeting(
  outcomeOf: typeof connectOutcome,
  name: PartName,
  {query = '', isTls = true, env = {}}: Setting,
): Promise<{outcome: Outcome; sent: string}> {
  const server = await startScriptedServer(PARTS[name], isTls ? shown : undefined)
  const mode = isTls ? 'require' : 'disable'
  const url = `postgres://ada:${PASSWORD}@127.0.0.1:${server.port}/app?sslmode=${mode}${query}`
  const outcome = await outcomeOf({url, env: {HOME, ...env}})
  await server.close()
  return {outcome, sent: server.heard.map(({body}) => body.toString('latin1')).join('\n')}
}

/** What both make of it, where they have to be of one mind. */
async function verdict(name: PartName, setting: Setting = {}): Promise<{outcome: Outcome; sent: string[]}> {
  const psql = await meeting(psqlOutcome, name, setting)
  const ours = await meeting(connectOutcome, name, setting)
  expectSame(ours.outcome, psql.outcome, `a server that ${name}`)
  expect(ours.sent.includes(PASSWORD), 'the password itself is sent').toBe(psql.sent.includes(PASSWORD))
  return {outcome: psql.outcome, sent: [psql.sent, ours.sent]}
}

const IN = {result: 'encrypted', reasons: []}
const refused = (reason: string) => ({result: 'refused', reasons: [reason]})

describe('of a server with TLS that', {timeout: 60_000}, () => {
  test.each<[PartName, object, object, object]>([
    // channel_binding=                        disable, prefer, require
    ['asks for the password in clear text', IN, IN, refused('no channel binding')],
    ['asks for an MD5 hash', IN, IN, refused('no channel binding')],
    ['lets everybody in', IN, IN, refused('no channel binding')],
    ['does SCRAM with channel binding', IN, IN, IN],
    ['does SCRAM without channel binding', IN, IN, refused('no channel binding')],
    ['does SCRAM with channel binding alone', refused('unknown log-in'), IN, IN],
    [
      'offers what nobody knows',
      refused('unknown log-in'),
      refused('unknown log-in'),
      refused('unknown log-in'),
    ],
    [
      'asks for Kerberos',
      refused('unknown log-in'),
      refused('unknown log-in'),
      refused('no channel binding'),
    ],
    [
      'signs with a wrong key',
      refused('wrong signature'),
      refused('wrong signature'),
      refused('wrong signature'),
    ],
    [
      'ends SCRAM with an error',
      refused('ended by the server'),
      refused('ended by the server'),
      refused('ended by the server'),
    ],
    ['takes another nonce', refused('another nonce'), refused('another nonce'), refused('another nonce')],
    ['continues what never began', refused('out of order'), refused('out of order'), refused('out of order')],
    ['begins twice', refused('out of order'), refused('out of order'), refused('no channel binding')],
    [
      'ends SCRAM where it has to continue',
      refused('out of order'),
      refused('out of order'),
      refused('no channel binding'),
    ],
    ['begins the session without a log-in', refused('no log-in'), refused('no log-in'), refused('no log-in')],
    ['sends a setting before the log-in', refused('no log-in'), refused('no log-in'), refused('no log-in')],
    ['announces a log-in of 2 GB', refused('no log-in'), refused('no log-in'), refused('no log-in')],
    ['warns before it asks', refused('no log-in'), refused('no log-in'), refused('no log-in')],
    ['warns before it lets in', refused('no log-in'), refused('no log-in'), refused('no log-in')],
    ['asks for an MD5 hash, lets in, and warns of that', IN, IN, refused('no channel binding')],
  ])('%s, ayb thinks as psql does', async (name, disable, prefer, require) => {
    expect((await verdict(name, {query: '&channel_binding=disable'})).outcome).toEqual(disable)
    expect((await verdict(name)).outcome).toEqual(prefer)
    expect((await verdict(name, {query: '&channel_binding=require'})).outcome).toEqual(require)
  })
})

describe('without TLS', () => {
  test.each<[PartName, string, object]>([
    ['does SCRAM with channel binding', '', refused('binding without TLS')],
    ['does SCRAM with channel binding', '&channel_binding=disable', refused('binding without TLS')],
    ['does SCRAM with channel binding', '&channel_binding=require', refused('no channel binding')],
    ['does SCRAM without channel binding', '', {result: 'in the clear', reasons: []}],
    ['lets everybody in', '&channel_binding=require', refused('no channel binding')],
  ])('of a server that %s, ayb thinks as psql does (%s)', async (name, query, expected) => {
    expect((await verdict(name, {query, isTls: false})).outcome).toEqual(expected)
  })
})

test('ayb tells the server as psql does whether it could have bound the log-in', async () => {
  const flags = async (part: PartName, query = '', isTls = true) => {
    const {sent} = await verdict(part, {query, isTls})
    const firsts = sent.map((text) => /^(SCRAM[-A-Z0-9]+)\0.{4}([^,]*),,/s.exec(text)?.slice(1).join(' '))
    expect(firsts[1]).toBe(firsts[0])
    return firsts[1]
  }
  expect(await flags('does SCRAM with channel binding')).toBe('SCRAM-SHA-256-PLUS p=tls-server-end-point')
  expect(await flags('does SCRAM without channel binding')).toBe('SCRAM-SHA-256 y')
  const disabled = '&channel_binding=disable'
  expect(await flags('does SCRAM with channel binding', disabled)).toBe('SCRAM-SHA-256 n')
  expect(await flags('does SCRAM without channel binding', disabled)).toBe('SCRAM-SHA-256 n')
  expect(await flags('does SCRAM without channel binding', '', false)).toBe('SCRAM-SHA-256 n')
})

describe('with sslmode=prefer, of a server that refuses the password over TLS and in the clear', () => {
  const REFUSAL = message('E', 'SFATAL\0VFATAL\0C28P01\0Mpassword authentication failed\0\0')
  const CLEAR = {result: 'in the clear', reasons: []}

  /** What one of them makes of it, and what it sent. */
  async function meetTwice(outcomeOf: typeof connectOutcome, part: Part) {
    const twice: Part = async (talk) => {
      if (!talk.isEncrypted) return part(talk)
      talk.send(authentication(10, 'SCRAM-SHA-256\0\0'))
      await talk.hear()
      talk.send(REFUSAL)
    }
    const server = await startScriptedServer(twice, shown)
    const url = `postgres://ada:${PASSWORD}@127.0.0.1:${server.port}/app?sslmode=prefer`
    const outcome = await outcomeOf({url, env: {HOME}})
    await server.close()
    return {outcome, sent: server.heard.map(({body}) => body.toString('latin1')).join('\n')}
  }

  test.each<[string, Part]>([
    ['lets everybody in', PARTS['lets everybody in']],
    ['does SCRAM', PARTS['does SCRAM without channel binding']],
    ['asks for an MD5 hash', PARTS['asks for an MD5 hash']],
  ])('%s, ayb goes on in the clear as psql does', async (_, part) => {
    expect((await meetTwice(psqlOutcome, part)).outcome).toEqual(CLEAR)
    expect((await meetTwice(connectOutcome, part)).outcome).toEqual(CLEAR)
  })

  test('asks for the password in clear text, ayb does not tell it, and psql does', async () => {
    const part = PARTS['asks for the password in clear text']
    expect((await meetTwice(psqlOutcome, part)).sent).toContain(PASSWORD)
    const {outcome, sent} = await meetTwice(connectOutcome, part)
    expect(outcome).toEqual(refused('wrong password'))
    expect(sent).not.toContain(PASSWORD)
  })
})

describe('ayb is stricter than psql', () => {
  const prematurely: PartName[] = [
    'offers SCRAM, and asks for the password in clear text',
    'offers SCRAM, and lets everybody in',
    'does not sign',
  ]

  test.each(prematurely)('with a server that %s', async (name) => {
    expect((await meeting(psqlOutcome, name, {})).outcome).toEqual(IN)
    const {outcome, sent} = await meeting(connectOutcome, name, {})
    expect(outcome).toEqual(refused('out of order'))
    expect(sent).not.toContain(PASSWORD)
  })

  test.each(prematurely)('but not under channel_binding=require, with a server that %s', async (name) => {
    const {outcome} = await verdict(name, {query: '&channel_binding=require'})
    expect(outcome).toEqual(refused('no channel binding'))
  })

  test('with a server that adds nothing to the nonce', async () => {
    expect((await meeting(psqlOutcome, 'leaves the nonce as it is', {})).outcome).toEqual(IN)
    expect((await meeting(connectOutcome, 'leaves the nonce as it is', {})).outcome).toEqual(
      refused('another nonce'),
    )
  })
})

describe('with PGREQUIREAUTH', {timeout: 60_000}, () => {
  const METHODS: Record<string, PartName> = {
    password: 'asks for the password in clear text',
    md5: 'asks for an MD5 hash',
    'scram-sha-256': 'does SCRAM with channel binding',
    none: 'lets everybody in',
  }
  const NO = refused('another method required')
  test.each<[string, object, object, object, object]>([
    // password, md5, scram-sha-256, none
    ['password', IN, NO, NO, NO],
    ['md5', NO, IN, NO, NO],
    ['scram-sha-256', NO, NO, IN, NO],
    ['none', NO, NO, NO, IN],
    ['md5,scram-sha-256', NO, IN, IN, NO],
    ['scram-sha-256,none', NO, NO, IN, IN],
    ['!password', NO, IN, IN, IN],
    ['!password,!none', NO, IN, IN, NO],
    ['!none', IN, IN, IN, NO],
    ['!scram-sha-256,!md5', IN, NO, NO, IN],
    ['gss', NO, NO, NO, NO],
    ['gss,sspi,password', IN, NO, NO, NO],
    ['!gss', IN, IN, IN, IN],
  ])('%s, ayb thinks as psql does of each way to log in', async (PGREQUIREAUTH, ...expected) => {
    const outcomes: Outcome[] = []
    for (const part of Object.values(METHODS)) {
      outcomes.push((await verdict(part, {env: {...NEW_LIBPQ, PGREQUIREAUTH}})).outcome)
    }
    expect(outcomes).toEqual(expected)
  })

  test('ayb and psql want the end of SCRAM before the session begins', async () => {
    const env = {...NEW_LIBPQ, PGREQUIREAUTH: 'scram-sha-256'}
    expect((await verdict('signs with a wrong key', {env})).outcome).toEqual(refused('wrong signature'))
    expect((await verdict('asks for Kerberos', {env})).outcome).toEqual(NO)
    expect((await verdict('continues what never began', {env})).outcome).toEqual(refused('out of order'))
  })
})
