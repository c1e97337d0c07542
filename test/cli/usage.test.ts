import {describe, expect, test} from 'vitest'
import {ayb} from '../support/ayb.ts'
import {linesOf, openTerminal} from '../support/terminal.ts'

/** Nothing listens there: wrong usage is told before anything connects. */
const NOWHERE = {url: 'postgres://nobody@127.0.0.1:1/nothing'}

const FLAGS_OF_ALL = '--database-url, --json, --quiet, --service, --verbose, --help'

describe.concurrent('wrong usage', {timeout: 60_000}, () => {
  test('of a flag is answered with the hint, the usage and the flags that there are', async () => {
    const {code, stdout, stderr} = await ayb(['list', '--stat', 'failing'], NOWHERE)
    expect({code, stdout}).toEqual({code: 2, stdout: ''})
    expect(stderr).toBe(`Error: ayb matviews list has no flag --stat
Hint: did you mean --state?
Usage: ayb matviews list [FLAGS]
Flags: --limit, --output, --schema, --sort, --state, --watch, --database-url,
  --json, --quiet, --service, --verbose, --help
`)
  })

  test('names what must not be left out', async () => {
    const {stderr} = await ayb(['schedules', 'create', '--crom', '@hourly'], NOWHERE)
    expect(stderr).toContain(`Hint: did you mean --cron?
Usage: ayb schedules create --name <name> [FLAGS]
Flags: `)
    expect(stderr.replaceAll('\n  ', ' ')).toContain(`--[no-]enabled, `)
    expect(stderr.replaceAll('\n  ', ' ')).toMatch(RegExp(`, ${FLAGS_OF_ALL}\n$`))
  })

  test.each([
    ['matviews show', 'ayb matviews show needs VIEW', 'ayb matviews show VIEW [FLAGS]'],
    ['matviews relink a', 'ayb matviews relink needs NEW', 'ayb matviews relink OLD NEW [FLAGS]'],
    ['schedules create', '--name is missing', 'ayb schedules create --name <name> [FLAGS]'],
    ['apply', '--file is missing', 'ayb apply --file <file> [FLAGS]'],
    ['jobs stats stray', 'ayb jobs stats takes no argument "stray" there', 'ayb jobs stats [FLAGS]'],
    ['show a b', 'ayb matviews show takes no argument "b" there', 'ayb matviews show VIEW [FLAGS]'],
    [
      'refresh a --wait=yes',
      'ayb matviews refresh: --wait takes no value, not even "yes"',
      'ayb matviews refresh [VIEW...] [FLAGS]',
    ],
    ['matviews history a --limit x', '--limit: Expected an integer', 'ayb matviews history VIEW [FLAGS]'],
    ['list --state x', 'Expected --state=x to be one of', 'ayb matviews list [FLAGS]'],
    ['list --limit', 'Flag --limit expects a value', 'ayb matviews list [FLAGS]'],
    ['completion tcsh', 'Expected tcsh to be one of', 'ayb completion [SHELL] [FLAGS]'],
  ])('ayb %s is answered with the usage', async (line, error, usage) => {
    const {code, stdout, stderr} = await ayb(line.split(' '), NOWHERE)
    expect({code, stdout}).toEqual({code: 2, stdout: ''})
    const [first, hint, ...others] = stderr.trimEnd().split('\n')
    expect(first).toContain(`Error: ${error}`)
    expect(hint).toMatch(/^Hint: see: ayb .* --help$/)
    expect(others).toEqual([`Usage: ${usage}`])
  })

  test('is one document with --json, and the same without a terminal or colours', async () => {
    const {code, stderr, json} = await ayb(['list', '--stat', 'x', '--json'], NOWHERE)
    expect({code, stderr}).toEqual({code: 2, stderr: ''})
    expect(json()).toEqual({
      error: {
        code: 'INVALID_ARGUMENT',
        message: 'ayb matviews list has no flag --stat',
        hint: 'did you mean --state?',
        status: 400,
        details: null,
      },
    })
    const terminal = await openTerminal(['list', '--stat', 'x'], {...NOWHERE, columns: 60}).done
    expect(linesOf(terminal.output).slice(2)).toEqual([
      'Usage: ayb matviews list [FLAGS]',
      'Flags: --limit, --output, --schema, --sort, --state,',
      '  --watch, --database-url, --json, --quiet, --service,',
      '  --verbose, --help',
    ])
  })

  test('of an unknown command, or of values that the database refuses, has no usage', async () => {
    for (const line of ['matviews lits', 'show a.b.c', 'list']) {
      const {code, stderr} = await ayb(line.split(' '), NOWHERE)
      expect(code, line).toBeGreaterThan(0)
      expect(stderr, line).not.toContain('Usage:')
    }
  })
})
