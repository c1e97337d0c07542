import {readdirSync} from 'node:fs'
import {describe, expect, test} from 'vitest'
import {WORKER_ENV} from '../../src/cli/worker-settings.ts'
import {ERRORS} from '../../src/lib/errors.ts'
import {displayWidth} from '../../src/render/width.ts'
import {ayb} from '../support/ayb.ts'
import {createTestDatabase} from '../support/database.ts'
import {failureOf} from '../support/documents.ts'
import {linesOf, openTerminal} from '../support/terminal.ts'

/** Nothing listens there. */
const NOWHERE = {url: 'postgres://nobody@127.0.0.1:1/nothing'}
const TOPICS = readdirSync(new URL('../../src/help', import.meta.url))
  .map((file) => file.replace('.md', ''))
  .filter((name) => name !== 'root')

describe('ayb help', () => {
  test('begins with commands, and ends with a quickstart, exit codes and topics', async () => {
    const {code, stdout} = await ayb(['help'], NOWHERE)
    expect(code).toBe(0)
    for (const text of ['COMMANDS', 'QUICKSTART', 'ayb worker', 'EXIT CODES', 'ayb help TOPIC']) {
      expect(stdout).toContain(text)
    }
    for (const topic of TOPICS) expect(stdout).toContain(`  ${topic} `)
    for (const line of stdout.split('\n')) expect(displayWidth(line), line).toBeLessThanOrEqual(80)
  })

  test.each(TOPICS)('explains %s', async (topic) => {
    const {code, stdout, stderr} = await ayb(['help', topic], NOWHERE)
    expect({code, stderr}).toEqual({code: 0, stderr: ''})
    expect(stdout).toMatch(/^[A-Z]/)
    expect(stdout).not.toMatch(/^#/m)
    expect(stdout).not.toContain('cancelled')
    for (const line of stdout.split('\n')) expect(displayWidth(line), line).toBeLessThanOrEqual(80)
  })

  test('leads from a topic to the command of that name', async () => {
    expect((await ayb(['help', 'worker'], NOWHERE)).stdout).toMatch(/\n\nFor the flags: ayb worker --help\n$/)
    expect((await ayb(['help', 'tuning'], NOWHERE)).stdout).not.toContain('For the flags')
  })

  test.each([
    [['jobs', 'list'], 'ayb jobs list'],
    [['jobs', 'retry'], 'ayb jobs retry'],
    [['worker', 'list'], 'ayb worker list'],
  ])('leads to the command where words follow the name of a topic: %s', async (words, usage) => {
    const {code, stdout} = await ayb(['help', ...words], NOWHERE)
    expect(code).toBe(0)
    expect(stdout).toContain(`USAGE\n  $ ${usage}`)
  })

  test('refuses a word behind a topic that makes no command', async () => {
    const near = await failureOf(['help', 'jobs', 'lits'], 'INVALID_ARGUMENT', NOWHERE)
    expect(near.hint).toBe('did you mean: ayb jobs list?')
    await failureOf(['help', 'tuning', 'nope'], 'INVALID_ARGUMENT', NOWHERE)
    expect((await ayb(['help', 'tuning', '--help'], NOWHERE)).stdout).toMatch(/^MODE$/m)
  })

  test('names each code of an error beside its exit code', async () => {
    const {stdout} = await ayb(['help', 'exit-codes'], NOWHERE)
    for (const [code, {exitCode}] of Object.entries(ERRORS)) {
      // The lines below an exit code, up to the next.
      const [, part] = RegExp(`^  ${exitCode} +(.*?)(?=^  \\d|\\n\\n)`, 'ms').exec(stdout) ?? []
      expect(part, code).toMatch(RegExp(`\\b${code}\\b`))
    }
  })

  test('names each variable of the environment beside its flag, and <duration> for a duration', async () => {
    const {stdout} = await ayb(['worker', '--help'], NOWHERE)
    const {enabled, ...variables} = WORKER_ENV
    for (const name of Object.values(variables)) {
      expect(stdout.replace(/\s+/g, ' '), name).toContain(`[env: ${name}]`)
    }
    expect(stdout).toContain(enabled)
    expect(stdout).toMatch(/--refresh-timeout=<duration> /)
  })

  test.each([60, 72, 80, 100])('of a command fits a terminal of %i columns', async (columns) => {
    for (const line of ['matviews unregister', 'refresh', 'schedules create', 'worker']) {
      const {code, output} = await openTerminal([...line.split(' '), '-h'], {...NOWHERE, columns}).done
      expect(code, output).toBe(0)
      // The title is one line, and so are examples, which are there to be pasted.
      const [, explained = ''] = output.split(/(?=USAGE)|EXAMPLES/)
      expect(explained).toContain('--verbose')
      for (const text of linesOf(explained)) {
        expect(displayWidth(text), `${line}: ${text}`).toBeLessThanOrEqual(columns)
      }
    }
  })

  test('has its titles in bold on a terminal', async () => {
    const {output} = await openTerminal(['help', 'tuning'], NOWHERE).done
    expect(output).toContain('\x1b[1mMODE\x1b[22m')
  })
})

describe('a short way', () => {
  test.each([
    ['list', 'List the registered views'],
    ['status', 'Show how fresh'],
    ['show', 'Show '],
    ['refresh', 'Refresh registered views'],
  ])('ayb %s is that of matviews', async (name, says) => {
    const {code, stdout} = await ayb([name, '-h'], NOWHERE)
    expect(code).toBe(0)
    expect(stdout).toContain(says)
    expect(stdout).toContain(`ayb matviews ${name}`)
  })

  test('works, and a near miss is told', async () => {
    const db = await createTestDatabase({hasTables: true})
    expect(await ayb(['list', '--json'], db)).toMatchObject({code: 0, stdout: '[]\n'})
    await failureOf(['show', 'leaderboard'], 'NOT_REGISTERED', db)
    const near = await failureOf(['refesh', 'x'], 'INVALID_ARGUMENT', NOWHERE)
    expect(near.hint).toBe('did you mean: ayb refresh?')
  })

  test.each([['-v'], ['version'], ['--version']])('to the version is %s', async (word) => {
    const {code, stdout} = await ayb([word], NOWHERE)
    expect(code).toBe(0)
    expect(stdout).toMatch(/^ayb\/\d+\.\d+\.\d+ /)
  })
})
