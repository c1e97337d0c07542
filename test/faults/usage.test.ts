import {spawn} from 'node:child_process'
import {once} from 'node:events'
import {readFileSync} from 'node:fs'
import type {Interfaces} from '@oclif/core'
import {describe, expect, test} from 'vitest'
import {displayWidth} from '../../src/render/width.ts'
import {ayb} from '../support/ayb.ts'
import {emptyHome, minimalEnvironment, programPath} from '../support/children.ts'
import {keysOf, parseFailure} from '../support/documents.ts'
import {MANIFEST_FILE} from '../support/manifest.ts'

/** Nothing listens there: whoever gets as far as connecting fails with another code. */
const NOWHERE = {url: 'postgres://nobody@127.0.0.1:1/nothing'}

/** Lines that are refused before any connection, and what the answer says. */
const REFUSED: {line: string; says: string; hint?: string}[] = [
  {line: 'matview list', says: 'no command: ayb matview', hint: 'did you mean: ayb matviews'},
  {line: 'matviews lst', says: 'no command: ayb matviews lst', hint: 'did you mean: ayb matviews list?'},
  {line: 'matviews refesh x', says: 'ayb matviews refesh', hint: 'did you mean: ayb matviews refresh?'},
  {line: 'migrat', says: 'no command: ayb migrat', hint: 'did you mean: ayb migrate?'},
  {line: 'frobnicate', says: 'no command: ayb frobnicate', hint: 'ayb --help'},
  {line: 'matviews frobnicate', says: 'ayb matviews frobnicate', hint: 'ayb matviews --help'},
  {line: 'help frobnicate', says: 'no command: ayb frobnicate'},
  {line: 'matviews list --jsn', says: 'no flag --jsn', hint: 'did you mean --json?'},
  {line: 'matviews list --shema=x', says: 'no flag --shema', hint: 'did you mean --schema?'},
  {line: 'matviews refresh x --frobnicate', says: '--frobnicate', hint: 'ayb matviews refresh --help'},
  {line: 'matviews list -x', says: '-x'},
  {line: '--wait matviews refresh x', says: '--wait comes before its command'},
  {line: 'matviews --wait refresh x', says: '--wait comes before its command', hint: 'ayb matviews COMMAND'},
  {line: '--json matviews list', says: '--json comes before its command'},
  {line: 'matviews --json list', says: '--json comes before its command'},
  {line: '--database-url=postgres://u:secret@h/d matviews list', says: 'comes before its command'},
  {line: 'matviews list stray', says: '"stray"'},
  {line: 'matviews discover stray', says: '"stray"'},
  {line: 'migrate stray', says: '"stray"', hint: 'ayb migrate --help'},
  {line: 'migrate stray --dry-run', says: '"stray"'},
  {line: 'matviews list --json stray', says: '"stray"'},
  {line: 'matviews show a b', says: '"b"'},
  {line: 'matviews refresh a b --all', says: '--all takes no view'},
  {line: 'matviews refresh a --schema public', says: '--schema takes no view'},
  {line: 'matviews refresh a --schema public --all', says: '--all and --schema take no view'},
  {line: 'matviews refresh --cascade', says: 'needs VIEW, --all, --schema or --unpopulated'},
  {line: 'matviews refresh --all --concurrency 0', says: '--concurrency'},
  {line: 'matviews refresh --all --concurrency 1001', says: '--concurrency'},
  {line: 'matviews register a --all', says: '--all takes no view'},
  {line: 'matviews register --view a --all', says: '--all takes no view'},
  {line: 'matviews show', says: 'needs VIEW'},
  {line: 'matviews refresh', says: 'needs VIEW'},
  {line: 'matviews history', says: 'needs VIEW'},
  {line: 'matviews unregister', says: 'needs VIEW'},
  {line: 'matviews update --mode standard', says: 'needs VIEW'},
  {line: 'matviews register', says: 'needs a view'},
  {line: 'matviews register --schema public', says: 'needs a view'},
  {line: 'matviews register a --view a', says: 'named twice'},
  {line: 'matviews register a --schema public', says: 'named twice'},
  {line: 'matviews register 550e8400-e29b-41d4-a716-446655440000', says: 'by its name, not by an id'},
  {line: 'matviews register a --mode fast', says: '--mode'},
  {line: 'matviews register a --mode', says: '--mode'},
  {line: 'matviews update a --mode Concurrent', says: '--mode'},
  {line: 'matviews update a', says: 'nothing to update', hint: '--mode'},
  {line: 'matviews refresh a --mode=', says: '--mode'},
  {
    line: 'matviews refresh a --timeout 30',
    says: '--timeout: "30" is not a duration',
    hint: '500ms, 30s, 5m, 2h or 7d',
  },
  {line: 'matviews refresh a --lock-timeout 1w', says: '--lock-timeout: "1w"', hint: '500ms'},
  {line: 'matviews refresh a --wait-timeout 1.5s', says: '--wait-timeout: "1.5s"', hint: '500ms'},
  {line: 'matviews refresh a --timeout=-5s', says: '--timeout: "-5s"'},
  {line: 'matviews refresh a --timeout=', says: '--timeout'},
  {line: 'matviews refresh a --timeout 365d', says: '--timeout: 365d is too long'},
  {line: 'matviews refresh a --wait=yes', says: '"yes"'},
  {line: 'matviews refresh --all=no', says: '--all takes no value', hint: 'ayb matviews refresh --help'},
  {line: 'matviews graph a --json=b', says: '--json takes no value'},
  {line: 'matviews history a --limit none', says: '--limit'},
  {line: 'migrate --dry-run=no', says: '"no"'},
  {line: 'matviews list --database-url', says: '--database-url'},
]

describe('a line that is not one of ayb', () => {
  // Text and JSON by turns: what differs between them is the printer, which errors are tested with.
  test.each(REFUSED)('is refused: ayb $line', async ({line, says, hint}) => {
    const args = line.split(' ')
    const hasJson = args.includes('--json')
    const isJson = hasJson || REFUSED.findIndex((other) => other.line === line) % 2 === 0
    const result = await ayb(isJson && !hasJson ? [...args, '--json'] : args, NOWHERE)
    expect(result.code, `${result.stdout}${result.stderr}`).toBe(2)
    expect(`${result.stdout}${result.stderr}`).not.toContain('secret')
    if (isJson) {
      const failure = parseFailure(result)
      expect(failure).toMatchObject({code: 'INVALID_ARGUMENT', status: 400})
      expect(failure.message).toContain(says)
      expect(failure.message).not.toContain('\n')
      if (hint) expect(failure.hint).toContain(hint)
    } else {
      expect(result.stdout).toBe('')
      const [first, second, ...rest] = result.stderr.split('\n')
      expect(first).toMatch(/^Error: /)
      expect(first).toContain(says)
      expect(second).toMatch(/^(Hint: .+)?$/)
      // The usage of the command, where a command was meant.
      expect(rest.filter((text) => text !== '' && !/^(Usage: ayb |Flags: --| {2}\S)/.test(text))).toEqual([])
      if (hint) expect(second).toContain(hint)
    }
  })

  test('takes what follows -- for arguments', async () => {
    const result = await ayb(['matviews', 'show', '--', '--json'], NOWHERE)
    expect(result).toMatchObject({code: 2, stdout: ''})
    expect(result.stderr).toContain('"--json" is not a valid view name')
  })

  test.each([
    ['matviews', '--json', 'lst'],
    ['matviews', 'register', '--mode', 'fast', '--json', 'a'],
    ['nothing', 'like', 'it', '--json'],
  ])('answers in JSON wherever --json is: ayb %s %s %s', async (...args) => {
    const {code, status} = parseFailure(await ayb(args, NOWHERE))
    expect({code, status}).toEqual({code: 'INVALID_ARGUMENT', status: 400})
  })
})

describe('help', () => {
  const everywhere = [
    [],
    ['help'],
    ['--help'],
    ['-h'],
    ['matviews'],
    ['matviews', '-h'],
    ['help', 'matviews'],
  ]

  test.each(everywhere.map((args) => ({args})))('is text and success: ayb $args', async ({args}) => {
    const result = await ayb(args, NOWHERE)
    expect(result).toMatchObject({code: 0, stderr: ''})
    expect(result.stdout).toContain('USAGE')
    expect(result.stdout).toContain(args.includes('matviews') ? 'matviews refresh' : 'matviews')
  })

  test.each([
    ...['register', 'list', 'show', 'discover', 'update', 'unregister', 'refresh', 'history'].map(
      (name) => `matviews ${name}`,
    ),
    'migrate',
  ])('of %s has a summary, its flags and examples', async (command) => {
    const {code, stdout, stderr} = await ayb([...command.split(' '), '-h'], NOWHERE)
    expect({code, stderr}).toEqual({code: 0, stderr: ''})
    expect(stdout.split('\n')[0]).toMatch(/^[A-Z].*\S$/)
    expect(stdout).toContain(`$ ayb ${command}`)
    expect(stdout).toContain('EXAMPLES')
    for (const flag of ['--database-url', '--json']) expect(stdout).toContain(flag)
  })

  test('of each command fits 80 columns', {timeout: 120_000}, async () => {
    const {commands}: Interfaces.Manifest = JSON.parse(readFileSync(MANIFEST_FILE, 'utf8'))
    const ids = Object.keys(commands)
    expect(ids.length).toBeGreaterThan(30)
    for (const id of ids) {
      const {code, stdout} = await ayb([...id.split(':'), '-h'], NOWHERE)
      expect(code, id).toBe(0)
      for (const line of stdout.split('\n'))
        expect(displayWidth(line), `${id}: ${line}`).toBeLessThanOrEqual(80)
    }
  })

  test('is the same text by each way to ask, with --json too', async () => {
    const [expected, ...others] = await Promise.all(
      [
        ['matviews', 'refresh', '--help'],
        ['help', 'matviews', 'refresh'],
        ['matviews', 'refresh', '--json', '-h'],
        ['matviews', 'refresh', '-h', '--json'],
      ].map((args) => ayb(args, NOWHERE)),
    )
    expect(expected?.stdout).toContain('--lock-timeout')
    for (const {code, stdout, stderr} of others) {
      expect({code, stdout, stderr}).toEqual({code: 0, stdout: expected?.stdout, stderr: ''})
    }
  })

  test('never shows where to connect', async () => {
    const url = 'postgres://someone:hunter2@db.example:6543/prod'
    const env = {AYB_DATABASE_URL: url, PGPASSWORD: 'hunter2'}
    const {stdout} = await ayb(['matviews', 'list', '--help'], {url, env})
    expect(stdout).not.toMatch(/hunter2|db\.example/)
  })
})

describe('the version', () => {
  test.each([[['--version']], [['--version', '--json']]])('is text and success: ayb %s', async (args) => {
    const result = await ayb(args, NOWHERE)
    expect(result).toMatchObject({code: 0, stderr: ''})
    expect(result.stdout).toMatch(/^ayb\/\d+\.\d+\.\d+ \S+ node-v\d+/)
  })
})

describe('stdin', () => {
  test.each([['show'], ['register'], ['refresh']])(
    'is not read, and not waited for, where %s lacks its view',
    async (command) => {
      const child = spawn(process.execPath, [programPath(), 'matviews', command, '--json'], {
        env: minimalEnvironment(emptyHome(), NOWHERE.url),
        stdio: ['pipe', 'pipe', 'inherit'],
      })
      let stdout = ''
      child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
        stdout += chunk
      })
      child.stdin.on('error', () => {})
      // Left open: a program that read it would not end.
      child.stdin.write('leaderboard\n')
      const [code] = await once(child, 'close')
      child.stdin.destroy()
      expect(code).toBe(2)
      const document = JSON.parse(stdout) as {error: {code: string}}
      expect(keysOf(document)).toEqual(['error'])
      expect(document.error.code).toBe('INVALID_ARGUMENT')
    },
  )
})
