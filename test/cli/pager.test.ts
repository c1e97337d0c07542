import {existsSync} from 'node:fs'
import {stripVTControlCharacters} from 'node:util'
import {beforeAll, describe, expect, test} from 'vitest'
import {ayb} from '../support/ayb.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {documentOf} from '../support/documents.ts'
import {openTerminal} from '../support/terminal.ts'
import {until} from '../support/until.ts'

const LIST = ['matviews', 'list']
/** Shows that a line came through it. */
const MARKER = 'sed s/^/paged:/'

let db: TestDatabase

beforeAll(async () => {
  db = await createTestDatabase()
  await db.query(`do $$ begin for n in 1..8 loop
    execute format('create materialized view view_%s as select 1 as one', n); end loop; end $$`)
  await documentOf(['matviews', 'register', '--all'], db)
})

async function shown(rows: number, env: Record<string, string | undefined>) {
  const {output, code} = await openTerminal(LIST, {url: db.url, rows, env}).done
  expect(code).toBe(0)
  return stripVTControlCharacters(output)
}

describe('a list that is longer than the terminal', () => {
  test('goes through PAGER, with its colours', async () => {
    const {output} = await openTerminal(LIST, {url: db.url, rows: 6, env: {PAGER: MARKER}}).done
    expect(output).toContain('paged:\u001b[1mVIEW')
    expect(stripVTControlCharacters(output)).toMatch(/^paged:9 views: /m)
  })

  test('is printed where no pager is wanted, or PAGER is no program', async () => {
    for (const env of [
      {PAGER: ''},
      {PAGER: 'cat'},
      {PAGER: MARKER, CI: 'true'},
      {PAGER: MARKER, TERM: 'dumb'},
      {PAGER: 'no-such-pager'},
    ]) {
      const text = await shown(6, env)
      expect(text, JSON.stringify(env)).toContain('\r\n9 views: ')
      expect(text).not.toContain('paged:')
    }
    expect(await shown(40, {PAGER: MARKER})).not.toContain('paged:')
    const piped = await ayb(LIST, {url: db.url, env: {PAGER: MARKER}})
    expect(piped.stdout.split('\n')).toHaveLength(10)
    expect(piped.stdout).not.toContain('paged:')
  })

  test('ends quietly where the pager is closed early', async () => {
    const text = await shown(6, {PAGER: 'head -1'})
    expect(text).toMatch(/^VIEW .*\r\n$/)
  })

  test.runIf(existsSync('/usr/bin/less'))('goes through less, which Ctrl-C does not end', async () => {
    const terminal = openTerminal(LIST, {url: db.url, rows: 6, env: {PAGER: undefined}})
    await terminal.waitFor(/VIEW/)
    terminal.write('\x03')
    await until(
      () => {
        // less drops what was typed before it has dealt with Ctrl-C.
        terminal.write('G')
        return terminal.output().includes('9 views: ')
      },
      {what: 'the end of the list'},
    )
    terminal.write('q')
    expect(await terminal.done).toMatchObject({code: 0})
  })
})
