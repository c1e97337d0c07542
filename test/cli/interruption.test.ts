import {expect, test} from 'vitest'
import {startAyb} from '../support/ayb.ts'
import {createTestDatabase} from '../support/database.ts'
import {until} from '../support/until.ts'

test('Ctrl-C ends a command that waits for a lock on the tables of ayb, at once', async () => {
  const db = await createTestDatabase({hasTables: true})
  const holder = await db.connect()
  await holder.query('begin; lock table _ayb_cli_migrations')
  const running = startAyb(['matviews', 'list'], {url: db.url})
  await until(
    () =>
      db
        .query(`select from pg_locks l join pg_stat_activity a using (pid)
                     where not l.granted and a.application_name = 'ayb matviews list'`)
        .then((rows) => rows.length > 0),
    {what: 'the command to wait', timeoutMs: 20_000},
  )
  running.kill('SIGINT')
  const {code, stdout, stderr} = await running.done
  expect({code, stdout}).toEqual({code: 130, stdout: ''})
  expect(stderr).toContain('canceled by SIGINT')
  await holder.query('rollback')
})
