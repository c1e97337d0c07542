import {execFile} from 'node:child_process'
import {stripVTControlCharacters} from 'node:util'
import {beforeAll, describe, expect, test} from 'vitest'
import {displayWidth} from '../../src/render/width.ts'
import {ayb} from '../support/ayb.ts'
import {emptyHome, minimalEnvironment} from '../support/children.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {documentOf} from '../support/documents.ts'
import {AYB, inShell, linesOf, openTerminal} from '../support/terminal.ts'

const ESCAPE = '\u001b['

let db: TestDatabase

beforeAll(async () => {
  db = await createTestDatabase()
  await documentOf(['matviews', 'register', 'leaderboard'], db)
  await documentOf(['matviews', 'refresh', 'leaderboard'], db)
  await db.query(
    `insert into _ayb_matview_refreshes (schema_name, view_name, last_refresh_status, last_refresh_error, last_refresh_at)
     values ('public', 'a_view_with_quite_a_long_name_that_goes_on_and_on', 'error', 'something ' || repeat('long ', 30), now()),
            ('größe', '週間ランキング', null, null, null)`,
  )
})

async function onTerminal(args: string[], columns: number, env: Record<string, string | undefined> = {}) {
  const {code, output} = await openTerminal(args, {url: db.url, columns, env}).done
  expect(code, output).toBe(0)
  return output
}

describe('on a terminal', () => {
  test.each([60, 80, 200])('tables fit %i columns', async (columns) => {
    for (const args of [
      ['matviews', 'list'],
      ['matviews', 'history', 'leaderboard'],
    ]) {
      const lines = linesOf(await onTerminal(args, columns))
      expect(lines.length).toBeGreaterThan(1)
      for (const line of lines) expect(displayWidth(line)).toBeLessThanOrEqual(columns)
    }
  })

  test('a wide one shows more than a narrow one', async () => {
    const [narrow, wide] = await Promise.all(
      [60, 240].map((columns) => onTerminal(['matviews', 'list'], columns)),
    )
    expect(linesOf(narrow ?? '')[0]).toMatch(/^VIEW +.*STATUS/)
    expect(linesOf(narrow ?? '')[0]).not.toContain('ID')
    expect(linesOf(wide ?? '')[0]).toMatch(/^VIEW +MODE +STATUS +LAST REFRESH .* ERROR +ID +STATE/)
  })

  test('times are for people, and colours are used', async () => {
    const output = await onTerminal(['matviews', 'list'], 120)
    expect(output).toContain(ESCAPE)
    expect(stripVTControlCharacters(output)).toMatch(/leaderboard .*success .*(now|ago) .*\d ms/)
  })

  test.each([{NO_COLOR: '1'}, {TERM: 'dumb'}, {FORCE_COLOR: '0'}])(
    'there is no colour with %j',
    async (env) => {
      expect(await onTerminal(['matviews', 'list'], 80, env)).not.toContain(ESCAPE)
    },
  )

  test.each([{TERM: 'dumb'}, {CI: 'true'}])('there is no animation with %j', async (env) => {
    const output = await onTerminal(['matviews', 'refresh', 'leaderboard'], 80, {...env, NO_COLOR: '1'})
    expect(output).toMatch(/^Refreshed public\.leaderboard in \d.*\r\n$/)
  })

  test('one without a size counts as one of 80 columns, and has no animation', async () => {
    // Longer than a spinner waits before it shows itself.
    await db.query('create materialized view nap as select pg_sleep(1)::text as slept')
    await documentOf(['matviews', 'register', 'nap'], db)
    const output = await inShell(
      `stty cols 0; ${AYB} refresh nap; NO_COLOR=1 ${AYB} refresh nap nap leaderboard; ${AYB} list`,
      db.url,
    )
    await documentOf(['matviews', 'unregister', 'nap'], db)
    // Nothing is written over.
    expect(output.replaceAll('\r\n', '')).not.toContain('\r')
    expect(output).not.toContain('Refreshing')
    expect(output).not.toContain(`${ESCAPE}?25`)
    const lines = linesOf(output)
    expect(lines[0]).toMatch(/^Refreshed public\.nap in \d\.\d s$/)
    const widths = lines.map(displayWidth)
    expect(Math.max(...widths)).toBeLessThanOrEqual(80)
    expect(Math.max(...widths)).toBeGreaterThan(60)
  })

  test('an empty list says what to do, and an error is two lines', async () => {
    const empty = await createTestDatabase({template: false})
    const {output} = await openTerminal(['matviews', 'list'], {url: empty.url}).done
    expect(output).toContain('ayb matviews discover')
    const failed = await openTerminal(['matviews', 'show', 'nothing'], {url: empty.url, columns: 40}).done
    expect(failed.code).toBe(3)
    expect(linesOf(failed.output).join('')).toMatch(/^Error: .*Hint: ayb matviews register public\.nothing$/)
  })
})

describe('off a terminal', () => {
  test('there is no colour, unless FORCE_COLOR asks for it', async () => {
    expect((await ayb(['matviews', 'list'], db)).stdout).not.toContain(ESCAPE)
    const env = {FORCE_COLOR: '1'}
    const failed = await ayb(['matviews', 'show', 'nothing'], {url: db.url, env})
    expect(failed.stderr).toContain(ESCAPE)
    const json = await ayb(['matviews', 'list', '--json'], {url: db.url, env})
    expect(json.stdout).not.toContain(ESCAPE)
    expect(json.json()).toHaveLength(3)
  })

  test('each stream is looked at by itself', async () => {
    const line = (redirect: string) => inShell(`${AYB} matviews list --schema größe ${redirect}`, db.url)
    // stderr is a file, stdout the terminal; then stdout a pipe, stderr the terminal.
    expect(await line('2>/dev/null')).toMatch(/^\S*VIEW/)
    const piped = await line('| cat')
    expect(linesOf(piped)[0]).toMatch(/^größe\S+\tstandard\t/)
    expect(piped).not.toContain(ESCAPE)
    expect(await line('--sort size | cat')).toContain(`${ESCAPE}31mError:`)
  })

  test('stdout has the result, and stderr nothing', async () => {
    const {stdout, stderr} = await ayb(['matviews', 'refresh', 'leaderboard'], db)
    expect(stdout).toMatch(/^Refreshed public\.leaderboard in \d+ ms\n$/)
    expect(stderr).toBe('')
  })

  test.each(['', ' --json'])('a closed pipe is the quiet end of ayb matviews list%s', async (flag) => {
    const many = await createTestDatabase({template: false})
    await documentOf(['migrate'], many)
    // More than a pipe holds.
    await many.query(
      `insert into _ayb_matview_refreshes (view_name, last_refresh_error)
       select 'view_' || n, repeat('x', 200) from generate_series(1, 5000) n`,
    )
    const command = `${AYB} matviews list${flag}`
    const [stdout, stderr] = await new Promise<[string, string]>((resolve, reject) => {
      execFile(
        '/bin/sh',
        ['-c', `{ ${command}; echo "exit $?" >&2; } | head -1`],
        {env: minimalEnvironment(emptyHome(), many.url)},
        (error, out, err) => (error ? reject(error) : resolve([out, err])),
      )
    })
    expect(stdout.split('\n')).toHaveLength(2)
    expect(stderr).toMatch(/^exit \d+\n$/)
  })

  test('neither USER nor HOME is needed', async () => {
    const env = {HOME: undefined, USER: undefined, LOGNAME: undefined}
    expect(await ayb(['matviews', 'list'], {url: db.url, env})).toMatchObject({code: 0, stderr: ''})
    expect(await ayb(['--help'], {env})).toMatchObject({code: 0, stderr: ''})
  })
})
