import {beforeAll, describe, expect, test} from 'vitest'
import {ayb} from '../support/ayb.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {documentOf, failureOf} from '../support/documents.ts'
import {openTerminal} from '../support/terminal.ts'

/** Nothing listens there: whoever gets as far as connecting fails with another code. */
const NOWHERE = {url: 'postgres://nobody@127.0.0.1:1/nothing'}

let db: TestDatabase

beforeAll(async () => {
  db = await createTestDatabase({hasTables: true})
})

describe('the hint of a refused line', () => {
  test('has no control sequences of the parser, on a terminal either', async () => {
    for (const args of [
      ['schedules', 'create', '--cron', '@hourly', '--view', 'x'],
      ['schedules', 'update', 'x', '--cron'],
      ['jobs', 'list', '--limit', 'x'],
    ]) {
      const {output} = await openTerminal(args, {...NOWHERE, columns: 200}).done
      expect(output).toContain('Error:')
      // Control characters of a message are shown as letters.
      expect(output).not.toContain('\\x1b')
      if (args[1] === 'create') expect(output).toContain(' --name is missing\r')
    }
  })

  test('names the quote that is missing, and not an empty name', async () => {
    for (const name of ['"weekly stats', 'public."weekly', 'public.we"ekly']) {
      const failure = await failureOf(['matviews', 'show', name], 'INVALID_IDENTIFIER', NOWHERE)
      expect(failure.hint, name).not.toContain('empty')
      expect(failure.hint, name).toMatch(/double quote/)
    }
    const failure = await failureOf(['matviews', 'show', 'public.""'], 'INVALID_IDENTIFIER', NOWHERE)
    expect(failure.hint).toBe('it is empty')
  })

  test('splits a reversed range in two', async () => {
    for (const [range, both] of [
      ['0 22-4 * * *', '22-23,0-4'],
      ['0 22-4/2 * * *', '22-23/2,0-4/2'],
      ['0 0 * * fri-mon', 'fri-6,0-mon'],
      ['50-10 * * * *', '50-59,0-10'],
      ['0 0 * * 7-2', '0-2'],
    ] as const) {
      const failure = await failureOf(['schedules', 'next', range], 'INVALID_ARGUMENT', NOWHERE)
      expect(failure.hint).toContain(`write ${both}`)
      await documentOf(['schedules', 'next', range.replace(/\S*[a-z\d]-\S+/, both)], NOWHERE)
    }
  })
})

describe('the hint of a connection that is refused', () => {
  test('names the quotes around a connection string', async () => {
    for (const quote of ['"', "'"]) {
      const failure = await failureOf(['matviews', 'list'], 'CONNECTION_FAILED', {
        env: {DATABASE_URL: `${quote}${db.url}${quote}`},
      })
      expect(failure.message).toContain('DATABASE_URL')
      expect(failure.message).not.toContain(db.password)
      expect(failure.hint).toContain('leave out the quotes around it')
    }
  })

  test('is one line below one line, soon', async () => {
    const wrong = new URL(db.url)
    wrong.password = 'wrong'
    const missing = new URL(db.url)
    missing.pathname = '/nowhere'
    for (const [url, error, hint] of [
      [wrong.href, 'password authentication failed', 'check the user and the password'],
      [missing.href, 'the database does not exist', 'createdb'],
      [NOWHERE.url, 'connection refused', 'is the server running'],
      ['postgres://me@no-such-host.invalid/x', 'unknown host', 'check the spelling'],
    ] as const) {
      const {code, stdout, stderr} = await ayb(['matviews', 'list'], {url, timeoutMs: 10_000})
      expect({code, stdout}).toEqual({code: 6, stdout: ''})
      expect(stderr).toMatch(RegExp(`^Error: [^\n]*${error}[^\n]*\nHint: [^\n]*${hint}[^\n]*\n$`))
    }
  })

  test('names the limit of a role beside max_connections', async () => {
    const role = await db.createRole('limited', {attributes: 'connection limit 0'})
    const failure = await failureOf(['matviews', 'list'], 'CONNECTION_FAILED', role)
    expect(failure.details).toMatchObject({sqlstate: '53300'})
    expect(failure.hint).toContain('ALTER ROLE … CONNECTION LIMIT')
    expect(failure.hint).toContain('max_connections')
  })

  test('names LOGIN beside pg_hba.conf', async () => {
    const role = await db.createRole('unable')
    await db.query(`alter role ${role.name} nologin`)
    const failure = await failureOf(['matviews', 'list'], 'CONNECTION_FAILED', role)
    expect(failure.details).toMatchObject({sqlstate: '28000'})
    expect(failure.hint).toMatch(/exists, has LOGIN,/)
  })
})

describe('the hint of a missing privilege', () => {
  test('is not about the tables of ayb where those are not the reason', async () => {
    const other = await createTestDatabase()
    const role = await other.createRole('blind')
    await other.query(`grant all on schema public to ${role.name}`)
    await documentOf(['matviews', 'register', 'leaderboard'], role)
    await other.query('revoke execute on function pg_total_relation_size from public')
    const failure = await failureOf(['matviews', 'discover'], 'PERMISSION_DENIED', role)
    expect(failure.message).toContain('pg_total_relation_size')
    expect(failure.message).not.toContain("ayb's tables")
    expect(failure.hint).toBe('ask the owner, or a superuser, to GRANT the privilege that the message names')
  })

  test('is not needed where the role may not list the roles', async () => {
    const other = await createTestDatabase()
    const role = await other.createRole('unknowing')
    await other.query(`grant all on schema public to ${role.name}; revoke select on pg_roles from public`)
    await documentOf(['matviews', 'register', 'leaderboard'], role)
    await other.query(
      `drop table _ayb_job_edges; delete from _ayb_cli_migrations where name = '0005-job-edges'`,
    )
    await documentOf(['migrate'], role)
  })
})

describe('the hint of a view that is not registered', () => {
  test('shows the near name, and registers no typing error', async () => {
    await documentOf(['matviews', 'register', 'leaderboard'], db)
    const near = await failureOf(['matviews', 'show', 'leaderbord'], 'NOT_REGISTERED', db)
    expect(near.message).toContain('did you mean public.leaderboard?')
    expect(near.hint).toBe('ayb matviews list')
    await db.query('create materialized view leaderboards as select 1')
    const real = await failureOf(['matviews', 'show', 'leaderboards'], 'NOT_REGISTERED', db)
    expect(real.hint).toBe('ayb matviews register public.leaderboards')
  })
})
