import {readdirSync, readFileSync} from 'node:fs'
import {createContext, runInContext} from 'node:vm'
import * as Errors from '@oclif/core/errors'
import fc from 'fast-check'
import {describe, expect, test} from 'vitest'
import {toAybError} from '../../src/cli/parse-errors.ts'
import {checkInput} from '../../src/core/schedule-input.ts'
import {connectionFailed} from '../../src/db/connection/connection-error.ts'
import {where} from '../../src/db/connection/connection-target.ts'
import {networkFailure, startupFailure} from '../../src/db/connection/host-failure.ts'
import {parseConnectionString} from '../../src/db/connection/settings/conninfo.ts'
import {findPassword} from '../../src/db/connection/settings/pgpass.ts'
import {parseServiceFile} from '../../src/db/connection/settings/service-file.ts'
import {hasSqlstate, translateError} from '../../src/db/sqlstate.ts'
import {HttpError} from '../../src/http/api/errors.ts'
import {tokenTest} from '../../src/http/api/token.ts'
import {parseCollectionQuery} from '../../src/lib/collection-query.ts'
import {checkTimezone, parseCron} from '../../src/lib/cron.ts'
import {parseAge, parseDuration, parseRetention} from '../../src/lib/duration.ts'
import {AybError, isAybError, messageOf} from '../../src/lib/errors.ts'
import {unfitColumn, unfitValue, unknownColumn} from '../../src/lib/failures/collections.ts'
import {refreshFailed} from '../../src/lib/failures/refreshes.ts'
import {scheduleNotFound} from '../../src/lib/failures/schedules.ts'
import {
  parseIdentifier,
  parseJobId,
  parseViewName,
  parseViewReference,
  qualifiedName,
  quoteIdentifier,
  shellWord,
} from '../../src/lib/identifier.ts'
import {parseListenAddress} from '../../src/lib/listen-address.ts'
import {nearest} from '../../src/lib/nearest.ts'
import {bounded, oneLine, presentable} from '../../src/lib/outside-text.ts'
import {parsePayload, viewOfPayload} from '../../src/lib/payload.ts'
import {printable, printableJson} from '../../src/lib/printable.ts'
import {redact} from '../../src/lib/redact.ts'
import {jsonLine, prettyLine} from '../../src/observe/log.ts'
import {renderDetails} from '../../src/render/details.ts'
import {renderError, renderWarning} from '../../src/render/error.ts'
import {progressText} from '../../src/render/progress-text.ts'
import {renderTable} from '../../src/render/table.ts'
import {describeTerminal} from '../../src/render/terminal.ts'
import {displayWidth, shorten} from '../../src/render/width.ts'

/**
 * Work that grows with the square of that takes a minute and more, and such that grows with it a few
 * milliseconds.
 */
const LENGTH = 200_000
/** Far more than a busy machine takes for the latter. */
const DEADLINE_MS = 10_000

/** What has a meaning to what looks at texts: repeated, each is somebody's worst case. */
const PIECES = [
  ...[
    'x',
    '1',
    ' ',
    '\n',
    '\r',
    '\t',
    '.',
    ',',
    ':',
    '/',
    '@',
    '=',
    '&',
    '?',
    '#',
    '*',
    '-',
    '_',
    '%',
    '+',
    '$',
    '\\',
  ],
  ...[
    '"',
    '""',
    "'",
    '[',
    ']',
    '{',
    '(',
    'é',
    '週',
    '😀',
    '\ud83d',
    '\u0301',
    '\u0903',
    '🇩',
    '👨\u200d',
    '\u1100',
  ],
  ...['\u001b[', '\u001b]0;', '\u009b', '\u202e', '\u0000', '\u00ad', '\\\\', "\\'", '\\u', '\\u0000', '\\"'],
  ...[
    'a.',
    '"a".',
    'a,',
    '"a",',
    '-a,',
    'a[',
    'a]',
    'word ',
    ' \n',
    '\n\t',
    '\r\n',
    'a=b ',
    "a='b' ",
    'a=b&',
    'a:b:',
  ],
  ...[
    'x://',
    '://a',
    'x://a:',
    'x://a:b',
    'postgres://u:p@h',
    'postgres://u:p@h ',
    'password',
    'password=',
    'password =',
  ],
  ...[
    "password='",
    "password=\\'",
    'password=\\',
    'sslpassword=x&',
    '%41',
    '%zz',
    '[::1]',
    '*/5',
    '1-2,',
    '0 ',
    '[s]\n',
  ],
  ...['{"a":', 'GMT+', 'Bearer ', 'ERR_', 'SystemV/', 'a/b', '12:', 'ayb*,', '#a', "'", '\u2028'],
]

const HEADS = ['', '"', "'", '[', 'a=', 'x://', "password='", 'postgres://', 'Bearer ', '^']
const TAILS = ['', 'x', '"', '@', '\u0000', ' x', '\n', '!', ']']

const times = (piece: string): string => piece.repeat(Math.ceil(LENGTH / piece.length))

/** Each piece, and some pairs of pieces between a head and a tail: the same in every run. */
const TEXTS = [
  ...PIECES.map(times),
  ...fc.sample(
    fc
      .tuple(
        fc.constantFrom(...HEADS),
        fc.constantFrom(...PIECES),
        fc.constantFrom(...PIECES),
        fc.constantFrom(...TAILS),
      )
      .map(([head, one, other, tail]) => `${head}${times(one + other)}${tail}`),
    {numRuns: 12, seed: 20_261_128},
  ),
]

/** Runs it under a deadline that ends it wherever it is; refusals are as good as answers. */
function runInTime(what: string, look: () => unknown): void {
  const work = () => {
    try {
      look()
    } catch (error) {
      if (!isAybError(error)) throw error
    }
  }
  const before = process.cpuUsage()
  try {
    runInContext('work()', createContext({work}), {timeout: DEADLINE_MS})
  } catch (error) {
    const {user, system} = process.cpuUsage(before)
    if ((user + system) / 1000 > DEADLINE_MS / 2) throw new Error(what, {cause: error})
    // Others had the processor.
    runInContext('work()', createContext({work}), {timeout: 6 * DEADLINE_MS})
  }
}

const told = (text: string): string => JSON.stringify(text.slice(0, 60))

const target = {host: 'db', port: 5432, database: 'app', user: 'ada'}
const view = (viewName: string) => ({schemaName: 'public', viewName})
const NAMES = Array.from({length: 500}, (_, index) => `${'name'.repeat(index % 15)}_${index}`)
const [onTerminal, onPipe] = [true, false].map((isTTY) =>
  describeTerminal({isTTY, columns: 120}, {TERM: 'xterm-256color'}),
) as [ReturnType<typeof describeTerminal>, ReturnType<typeof describeTerminal>]
const NOW = new Date('2026-03-01T12:34:56.789Z')

/** An error as the driver hands it over. */
const serverError = (text: string, code: string) =>
  Object.assign(new Error(text), {severity: 'ERROR', routine: 'exec', code, detail: text, hint: text})

const columns = [
  {header: 'NAME', value: (text: string) => text, priority: 2, minWidth: 20},
  {header: 'ERROR', value: (text: string) => text, priority: 1, minWidth: 20},
]

/** All that looks at a text which ayb did not write. */
const LOOKS: Record<string, (text: string) => unknown> = {
  redact,
  bounded,
  presentable,
  printable,
  printableJson: (text) => printableJson({text}, 2),
  messageOf: (text) => messageOf(new Error(text)),
  AybError: (text) => new AybError('INTERNAL', text, {hint: text, details: {detail: text, list: [text]}}),
  HttpError: (text) => new HttpError('NOT_FOUND', text),
  'a token': (text) => tokenTest('secret')({headers: {authorization: text}} as never),
  'a line of a log': (text) => {
    const entry = {level: 'error', event: 'refresh.failed', msg: text, view: text, error: text} as const
    return [jsonLine(entry, NOW), prettyLine(entry, NOW, (_, part) => part)]
  },
  'an error on a terminal': (text) => renderError(new AybError('INTERNAL', text, {hint: text}), onTerminal),
  'a warning on a terminal': (text) => renderWarning(text, onTerminal),
  'a table on a terminal': (text) => renderTable([text, text], columns, onTerminal),
  'a table on a pipe': (text) => renderTable([text, text], columns, onPipe),
  'details on a terminal': (text) =>
    renderDetails([{label: 'Error', value: text, display: text}], onTerminal),
  'details on a pipe': (text) => renderDetails([{label: 'Error', value: text}], onPipe),
  'a spinner': (text) => progressText({label: text, detail: text, startedAt: 0, usualMs: 1000}, 1000, 80),
  displayWidth,
  shorten: (text) => [shorten(text, 80), shorten(text, 1_000_000)],
  nearest: (text) => nearest(text, NAMES),
  parseViewName,
  parseIdentifier: (text) => parseIdentifier(text, 'name'),
  parseViewReference,
  parseJobId,
  'names in SQL and for a shell': (text) => [
    qualifiedName(view(text)),
    quoteIdentifier(text),
    shellWord(text),
  ],
  viewOfPayload: (text) => viewOfPayload({schema: text, view_name: text}),
  parsePayload,
  'parsePayload of a view': (text) => parsePayload(JSON.stringify({view_name: text})),
  'parsePayload of other keys': (text) => parsePayload(JSON.stringify({view_name: 'v', [text]: text})),
  durations: (text) => {
    for (const parse of [parseDuration, parseAge, parseRetention])
      runInTime('a duration', () => parse(text, 'it'))
  },
  parseCron,
  checkTimezone,
  'the name of a schedule': (text) => checkInput({name: text}),
  parseListenAddress: (text) => parseListenAddress(text, 'it', '127.0.0.1:1'),
  'the parameter sort': (text) => parseCollectionQuery({sort: text}),
  'the parameter fields': (text) => parseCollectionQuery({fields: text}),
  'the parameter page': (text) => parseCollectionQuery({page: text}),
  'the name of a filter': (text) => parseCollectionQuery({[text]: '1'}),
  'the operator of a filter': (text) => parseCollectionQuery({[`a[${text}]`]: '1', 'b[null]': text}),
  unknownColumn: (text) => unknownColumn(text, text, NAMES),
  'unfit values': (text) => [
    unfitColumn(text, text, 'int', 'no'),
    unfitValue(text, {name: text, type: 'int', value: text}, text),
  ],
  parseConnectionString: (text) => parseConnectionString(text, 'it'),
  'parseConnectionString of a URL': (text) => parseConnectionString(`postgres://${text}`, 'it'),
  'parseConnectionString of a query': (text) => parseConnectionString(`postgres://a@b/c?${text}`, 'it'),
  findPassword: (text) => findPassword(text, target),
  parseServiceFile: (text) => parseServiceFile(text, 's', '/etc/services'),
  'where a server is': (text) => [oneLine(text), where({...target, host: text})],
  'a failure of the network': (text) =>
    connectionFailed([{target, failure: networkFailure(new Error(text), target)}], {isServerNamed: true}),
  'a refusal of the server': (text) =>
    connectionFailed([{target, failure: startupFailure(serverError(text, '28000'), target, null)}], {
      isServerNamed: true,
    }),
  'an error of a statement': (text) => {
    const error = translateError(serverError(text, '22012'), target)
    return hasSqlstate(error) && refreshFailed(view('v'), error)
  },
  'a lost connection': (text) => translateError(serverError(text, '57P01'), target),
  scheduleNotFound: (text) => scheduleNotFound(text, nearest(text, NAMES)),
  "oclif's own words": (text) =>
    toAybError(new Errors.CLIError(text), {findCommand: () => undefined} as never, 'jobs:list'),
}

describe('a long text', () => {
  test.each(Object.entries(LOOKS))(
    'takes time in proportion to its length: %s',
    (_, look) => {
      for (const text of TEXTS) runInTime(told(text), () => look(text))
    },
    300_000,
  )
})

/** The regular expressions of a source text; a comment line is none. */
function expressionsOf(source: string): RegExp[] {
  const code = source.replaceAll(/^\s*(?:\*|\/\/|\/\*).*$/gm, '')
  const literal =
    /(?<=(?:[(,=:[!&|?{};]|=>|return)\s*)\/(?![*/])((?:[^\\/\n[]|\\.|\[(?:[^\]\\\n]|\\.)*\])+)\/([dgimsuvy]*)(?=[\s).,;:\]])/g
  return [...code.matchAll(literal)].map(([, pattern = '', flags = '']) => new RegExp(pattern, flags))
}

test('no regular expression of the source takes more than time in proportion to a text', () => {
  const expressions = readdirSync('src', {recursive: true, encoding: 'utf8'})
    .filter((file) => /\.tsx?$/.test(file))
    .flatMap((file) =>
      expressionsOf(readFileSync(`src/${file}`, 'utf8')).map((expression) => ({file, expression})),
    )
  // As many as there are: one that is not found is not tried either.
  expect(expressions.length).toBeGreaterThan(60)
  for (const {file, expression} of expressions) {
    const all = expression.sticky
      ? expression
      : new RegExp(expression.source, `${expression.flags.replace('g', '')}g`)
    const own = expression.source.match(/[A-Za-z]{3,}|[^\w\s\\^$|()[\]{}*+?.]/g) ?? []
    for (const text of [...TEXTS, ...new Set(own)].map((each) => (each.length > 100 ? each : times(each)))) {
      runInTime(`${file}: ${expression} on ${told(text)}`, () => text.replace(all, ''))
    }
  }
}, 300_000)
