import pg from 'pg'
import {beforeAll, describe, expect, test} from 'vitest'
import type {ScheduleDocument} from '../../src/lib/records/schedules.ts'
import {ayb} from '../support/ayb.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {documentOf, failureOf} from '../support/documents.ts'
import {marksOf, resetMarks, safeSession, springs, wasPulled} from '../support/springs.ts'
import {PATIENCE_MS, until} from '../support/until.ts'
import {complaints, startWorker, stopWorkers} from '../support/worker.ts'

type Role = Awaited<ReturnType<TestDatabase['createRole']>>

/** What the query of a view could try to outlive its refresh, or to get out of its role. */
const ESCAPES = (victim: string, mallory: string): [string, string][] => [
  ['role', `set role ${victim}`],
  ['reset role', 'reset role'],
  ['local role', `set local role ${victim}`],
  ['authorization', `set session authorization ${victim}`],
  ['grant', `alter role ${mallory} superuser`],
  ['temporary table', 'create temp table kept (id int)'],
  ['forget statements', 'deallocate all'],
  ['another statement', `prepare ayb_1 as select evil.spring('prepared')`],
  ['listen', 'listen ayb_cli_wake'],
  ['held cursor', `declare c cursor with hold for select evil.spring('cursor')`],
  ['deferred trigger', 'insert into evil.loot values (1)'],
  ['jobs', `update public._ayb_jobs set state = 'failed'`],
  ['program', `copy (select 1) to program 'true'`],
  ['path', `select set_config('search_path', 'evil, pg_catalog', false)`],
  ['timeout', `select set_config('statement_timeout', '1', false)`],
]

describe('a view of another role', {timeout: 120_000}, () => {
  let db: TestDatabase
  let safe: pg.Client
  let victim: Role
  let mallory: Role

  beforeAll(async () => {
    db = await createTestDatabase()
    safe = await safeSession(db)
    mallory = await db.createRole('mallory')
    victim = await db.createRole('victim', {attributes: 'superuser'})
    await documentOf(['migrate'], db)
    await safe.query(springs(mallory.name))
    const attacker = await safeSession(db)
    const attempts = ESCAPES(victim.name, mallory.name)
      .map(([what, sql]) => `perform evil.attempt('${what}', $sql$${sql}$sql$);`)
      .join('\n')
    await attacker.query(`
      set role ${mallory.name};
      create table evil.loot (id int);
      create function evil.late() returns trigger language plpgsql as
      $$ begin perform evil.spring('at commit'); return null; end $$;
      create constraint trigger late after insert on evil.loot deferrable initially deferred
         for each row execute function evil.late();
      create function evil.attempt(what text, sql text) returns void language plpgsql as
      $$ begin
           execute sql;
           perform evil.spring(what || ': done');
         exception when others then perform evil.spring(what || ': ' || sqlstate);
         end $$;
      create function evil.escape() returns text language plpgsql as
      $$ begin perform evil.spring('query'); ${attempts} return 'out'; end $$;
      -- Said to be immutable, so that an index may have it.
      create function evil.lie(id int) returns int language plpgsql immutable as
      $$ begin perform evil.spring('index'); return id; end $$;
      create materialized view evil.hostile as
      select 1 as id, evil.escape() as escaped, clock_timestamp() as stamp with no data;
      create unique index on evil.hostile (id);
      create index on evil.hostile (evil.lie(id))`)
  })

  /** What ran, as whom; where it is not the attacker itself, it got out. */
  async function expectConfined(): Promise<void> {
    const marks = await marksOf(safe)
    expect(new Set(marks.map(({what}) => what))).toEqual(
      new Set([
        ...['query', 'index', 'path: done', 'timeout: done'],
        ...['role: 42501', 'reset role: 42501', 'local role: 42501', 'authorization: 42501', 'grant: 42501'],
        ...[
          'temporary table: 42501',
          'forget statements: 42501',
          'another statement: 42501',
          'listen: 42501',
        ],
        ...['held cursor: 42501', 'deferred trigger: 42501', 'jobs: 42501', 'program: 42501'],
      ]),
    )
    expect(new Set(marks.map(({who}) => who))).toEqual(new Set([mallory.name]))
    const {rows} = await safe.query('select rolsuper from pg_roles where rolname = $1', [mallory.name])
    expect(rows).toEqual([{rolsuper: false}])
  }

  test('runs its code as whoever calls it by hand', async () => {
    await safe.query(`set role ${victim.name}; select evil.spring('by hand'); reset role`)
    expect(await marksOf(safe)).toEqual([{what: 'by hand', who: victim.name}])
    await resetMarks(safe)
  })

  test('is refreshed by a superuser in both modes, and its code runs as its owner alone', async () => {
    await documentOf(['matviews', 'register', 'evil.hostile'], victim)
    for (const mode of ['standard', 'concurrent']) {
      await documentOf(['matviews', 'refresh', 'evil.hostile', '--mode', mode], victim)
      await expectConfined()
      await resetMarks(safe)
    }
    for (const line of [['discover'], ['show', 'evil.hostile'], ['history', 'evil.hostile'], ['list']]) {
      await documentOf(['matviews', ...line], victim)
    }
    expect(await wasPulled(safe)).toBe(false)
  })

  test('between two others in the hands of a worker of a superuser changes nothing for them', async () => {
    await safe.query(`insert into public._ayb_jobs (payload, type, max_attempts, run_at)
      select jsonb_build_object('schema', s, 'view_name', v), 'materialized_view_refresh', 1, now() + n * interval '1 ms'
        from (values (1, 'public', 'leaderboard'), (2, 'evil', 'hostile'), (3, 'public', 'leaderboard'),
                     (4, 'evil', 'hostile'), (5, 'public', 'leaderboard')) j (n, s, v)`)
    const worker = await startWorker({url: victim.url}, ['--concurrency', '1', '--poll-interval', '200ms'])
    await untilEnded(5)
    await stopWorkers([worker])
    expect(complaints([worker])).toEqual([])
    const states = await safe.query('select distinct state, attempts from public._ayb_jobs')
    expect(states.rows).toEqual([{state: 'completed', attempts: 1}])
    await expectConfined()
  })

  const untilEnded = (jobs: number) =>
    until(
      async () => {
        const {rows} = await safe.query(`select from public._ayb_jobs where state in ('completed', 'failed')`)
        return rows.length === jobs
      },
      {what: `${jobs} jobs to end`, timeoutMs: PATIENCE_MS},
    )

  test('that gives up all advisory locks of its session costs the jobs behind it nothing', async () => {
    await safe.query('truncate public._ayb_jobs, public._ayb_matview_refresh_runs')
    await safe.query(`set role ${mallory.name};
      create materialized view evil.careless as
      select 1 as id, evil.spring('unlock') as sprung, pg_advisory_unlock_all()::text as unlocked with no data;
      reset role`)
    await safe.query(`insert into public._ayb_jobs (payload, type, max_attempts, run_at)
      select jsonb_build_object('schema', s, 'view_name', v), 'materialized_view_refresh', 1, now() + n * interval '1 ms'
        from (values (1, 'evil', 'careless'), (2, 'public', 'leaderboard')) j (n, s, v)`)
    const worker = await startWorker({url: victim.url}, ['--concurrency', '1', '--poll-interval', '200ms'])
    await untilEnded(2)
    await stopWorkers([worker])
    expect(await marksOf(safe)).toContainEqual({what: 'unlock', who: mallory.name})
    const jobs = await safe.query(
      `select payload->>'view_name' as view, state, attempts, last_error from public._ayb_jobs order by run_at`,
    )
    expect(jobs.rows).toEqual([
      {view: 'careless', state: 'completed', attempts: 1, last_error: null},
      {view: 'leaderboard', state: 'completed', attempts: 1, last_error: null},
    ])
  })

  test('that gives up the key of its worker alone costs it that session, and no job', async () => {
    await safe.query('truncate public._ayb_jobs, public._ayb_matview_refresh_runs')
    await safe.query(`set role ${mallory.name};
      create function evil.let_go() returns text language plpgsql as $$
      declare key bigint;
      begin
        select (classid::bigint << 32) | objid::bigint into strict key
          from pg_locks where pid = pg_backend_pid() and locktype = 'advisory' and mode = 'ShareLock';
        perform evil.spring('key of ' || pg_backend_pid() || ': ' || pg_advisory_unlock_shared(key));
        return 'gone';
      end $$;
      create materialized view evil.forgetful as select evil.let_go() as key with no data;
      reset role`)
    const insert = (schema: string, view: string) =>
      safe.query(
        `insert into public._ayb_jobs (payload, type, max_attempts)
         values (jsonb_build_object('schema', $1::text, 'view_name', $2::text), 'materialized_view_refresh', 1)`,
        [schema, view],
      )
    await insert('evil', 'forgetful')
    const worker = await startWorker({url: victim.url}, ['--concurrency', '1', '--poll-interval', '200ms'])
    await untilEnded(1)
    const [mark] = (await marksOf(safe)).filter(({what}) => what.startsWith('key of '))
    const [, pid] = /^key of (\d+): true$/.exec(mark?.what ?? '') ?? []
    expect(mark).toEqual({what: `key of ${pid}: true`, who: mallory.name})
    // It goes when its worker would have kept it: a moment after the end of the job.
    const sessions = async () =>
      (
        await safe.query<{pid: number; keys: number}>(
          `select a.pid, (select count(*)::int from pg_locks l
                           where l.pid = a.pid and l.locktype = 'advisory' and l.mode = 'ShareLock') as keys
             from pg_stat_activity a
            where a.datname = current_database() and a.application_name = 'ayb worker'`,
        )
      ).rows
    await until(async () => (await sessions()).every((session) => session.pid !== Number(pid)), {
      what: `session ${pid} to end`,
      timeoutMs: PATIENCE_MS,
    })
    await insert('public', 'leaderboard')
    await untilEnded(2)
    expect((await sessions()).filter(({keys}) => keys !== 1)).toEqual([])
    await stopWorkers([worker])
    expect(complaints([worker])).toEqual([])
    const jobs = await safe.query('select distinct state, attempts, last_error from public._ayb_jobs')
    expect(jobs.rows).toEqual([{state: 'completed', attempts: 1, last_error: null}])
  })

  test.each(['42501', '22012'])(
    'that gives up all advisory locks and then fails with SQLSTATE %s uses up its attempts',
    async (sqlstate) => {
      await safe.query('truncate public._ayb_jobs, public._ayb_matview_refresh_runs')
      const view = `clumsy_${sqlstate}`
      await safe.query(`set role ${mallory.name};
        create function evil.${view}() returns text language plpgsql as $$
        begin perform pg_advisory_unlock_all(); raise exception 'clumsy' using errcode = '${sqlstate}'; end $$;
        create materialized view evil.${view} as select evil.${view}() as text with no data;
        reset role`)
      await safe.query(`insert into public._ayb_jobs (payload, type, max_attempts)
                        values ('{"schema": "evil", "view_name": "${view}"}', 'materialized_view_refresh', 1)`)
      const worker = await startWorker({url: victim.url}, ['--poll-interval', '200ms'])
      await untilEnded(1)
      await stopWorkers([worker])
      const jobs = await safe.query('select state, attempts, last_error from public._ayb_jobs')
      expect(jobs.rows).toEqual([
        {state: 'failed', attempts: 1, last_error: expect.stringContaining('clumsy')},
      ])
      const runs = await safe.query('select status from public._ayb_matview_refresh_runs')
      expect(runs.rows).toEqual([{status: 'error'}])
    },
  )

  test('that takes the lock of another view and keeps it blocks that one no longer than its refresh', async () => {
    await safe.query('truncate public._ayb_jobs, public._ayb_matview_refresh_runs')
    await safe.query(`set role ${mallory.name};
      create materialized view evil.greedy as
      select 1 as id, evil.spring('lock') as sprung,
             pg_advisory_lock(hashtext('public.leaderboard'))::text as locked with no data;
      reset role`)
    await documentOf(['matviews', 'register', 'leaderboard', '--if-not-exists'], victim)
    await safe.query(`insert into public._ayb_jobs (payload, type)
                      values ('{"schema": "evil", "view_name": "greedy"}', 'materialized_view_refresh')`)
    const worker = await startWorker({url: victim.url}, ['--poll-interval', '200ms'])
    await untilEnded(1)
    expect(await marksOf(safe)).toContainEqual({what: 'lock', who: mallory.name})
    const line = ['matviews', 'refresh', 'leaderboard', '--wait-timeout', '10s', '--json']
    const result = await ayb(line, {url: victim.url, timeoutMs: 60_000})
    await stopWorkers([worker])
    expect(result.code, result.stdout).toBe(0)
  })

  test('whose name is a script harms neither terminal, shell nor server', async () => {
    const name = `x'; drop table users; --" $(id) \`id\``
    const control = 'two\nlines\u001b]0;title\u0007\u009b31m\u202e'
    await safe.query(`set role ${mallory.name};
      create materialized view evil.${pg.escapeIdentifier(name)} as select 1 as id, 'a'::text as "b"";--";
      create materialized view evil.${pg.escapeIdentifier(control)} as select 1 as id;
      reset role`)
    const {stdout} = await ayb(['matviews', 'discover'], victim)
    expect(stdout).not.toMatch(/[^\P{Cc}\t\n]|[\u202a-\u202e]/u)
    expect(stdout.trimEnd().split('\n')).toHaveLength(await countViews())
    await documentOf(['matviews', 'register', `evil.${pg.escapeIdentifier(name)}`], victim)
    const {hint} = await failureOf(
      ['matviews', 'update', `evil.${pg.escapeIdentifier(name)}`, '--mode', 'concurrent'],
      'UNIQUE_INDEX_REQUIRED',
      victim,
    )
    // As it would be pasted.
    await safe.query(hint ?? '')
    await documentOf(
      ['matviews', 'update', `evil.${pg.escapeIdentifier(name)}`, '--mode', 'concurrent'],
      victim,
    )
    const create = ['schedules', 'create', '--name', name, '--cron', '@daily', '--view']
    const created = await documentOf<ScheduleDocument>(
      [...create, `evil.${pg.escapeIdentifier(name)}`],
      victim,
    )
    expect(created.schedule.payload).toEqual({schema: 'evil', view_name: name})
    const users = await safe.query('select count(*)::int as users from public.users')
    expect(users.rows).toEqual([{users: 50}])
  })

  async function countViews(): Promise<number> {
    const {rows} = await safe.query<{views: number}>(
      `select count(*)::int as views from pg_class where relkind = 'm'`,
    )
    return rows[0]?.views ?? 0
  }
})
