import pg from 'pg'
import {beforeAll, describe, expect, test} from 'vitest'
import {ayb} from '../support/ayb.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {documentOf, failureOf} from '../support/documents.ts'
import {type Mark, marksOf, resetMarks, safeSession, springs, wasPulled} from '../support/springs.ts'
import {PATIENCE_MS, until} from '../support/until.ts'
import {startWorker, stopWorkers} from '../support/worker.ts'

/**
 * For each function, aggregate and operator of Postgres one of the same arguments, which whoever looks into
 * public first finds; and where it takes text, one that takes varchar or name, which fits our columns better
 * wherever it is found. Relations and types of the same names too.
 */
const SHADOWS = `
  do $do$
  declare
    f record;
    variant text;
    body constant text := 'begin perform evil.spring(%L); return%s; end';
    made int := 0;
  begin
    for f in
      select p.proname as name, p.proretset, pg_get_function_arguments(p.oid) as args, pg_get_function_result(p.oid) as result
        from pg_proc p where p.pronamespace = 'pg_catalog'::regnamespace and p.prokind in ('f', 'a', 'w')
    loop
      foreach variant in array array['text', 'character varying', 'name'] loop
        continue when variant <> 'text' and f.args !~ '\\mtext\\M';
        begin
          execute format('create function public.%I(%s) returns %s language plpgsql as %L', f.name,
                         regexp_replace(f.args, '\\mtext\\M', variant, 'g'), f.result,
                         format(body, f.name, case when f.proretset then '' else ' null' end));
          made := made + 1;
        -- Of pseudo-types that only C knows, or there already.
        exception when others then null;
        end;
      end loop;
    end loop;
    for f in
      select o.oid, o.oprname as name, format_type(nullif(o.oprleft, 0), null) as l, format_type(o.oprright, null) as r,
             format_type(o.oprresult, null) as result
        from pg_operator o where o.oprnamespace = 'pg_catalog'::regnamespace and o.oprresult <> 0
    loop
      foreach variant in array array['text', 'character varying', 'name'] loop
        continue when variant <> 'text' and 'text' not in (f.r, coalesce(f.l, ''));
        begin
          execute format('create function public.%I(%s) returns %s language plpgsql as %L', 'op_' || f.oid,
                         regexp_replace(concat_ws(', ', f.l, f.r), '\\mtext\\M', variant, 'g'), f.result,
                         format(body, f.name, ' null'));
          execute format('create operator public.%s (function = public.%I, rightarg = %s %s)', f.name, 'op_' || f.oid,
                         regexp_replace(f.r, '\\mtext\\M', variant),
                         ', leftarg = ' || regexp_replace(f.l, '\\mtext\\M', variant));
          made := made + 1;
        exception when others then null;
        end;
      end loop;
    end loop;
    for f in
      select c.relname as name from pg_class c
       where c.relnamespace = 'pg_catalog'::regnamespace and c.relkind in ('r', 'v')
    loop
      begin
        execute format('create view public.%I as select * from pg_catalog.%I where evil.spring(%L) is not null',
                       f.name, f.name, f.name);
        execute format('grant select on public.%I to public', f.name);
        made := made + 1;
      exception when others then null;
      end;
    end loop;
    foreach variant in array array['text', 'name', 'uuid', 'timestamptz', 'jsonb', 'oid', 'regclass', 'int2', 'int4', 'int8',
                                   'float8', 'bool'] loop
      execute format('create domain public.%I as pg_catalog.%I check (evil.spring(%L) is not null)', variant, variant, variant);
    end loop;
    -- Those that take anything: with as many arguments as we give them.
    foreach variant in array array['format(text, name, name)', 'format(text, name, name, name)', 'format(text, text, name)',
                                   'format(text, text, text, name)', 'json_build_object(text, name, text, text)'] loop
      execute format('create function public.%s returns %s language plpgsql as %L', variant,
                     case when variant like 'f%' then 'text' else 'json' end, format(body, split_part(variant, '(', 1), ' null'));
    end loop;
    perform set_config('evil.made', made::text, false);
  end $do$`

type Role = Awaited<ReturnType<TestDatabase['createRole']>>

describe('objects in public that shadow all of Postgres', {timeout: 120_000}, () => {
  let db: TestDatabase
  let safe: pg.Client
  let victim: Role
  let owner: Role

  beforeAll(async () => {
    db = await createTestDatabase()
    safe = await safeSession(db)
    const mallory = await db.createRole('mallory')
    victim = await db.createRole('victim', {
      attributes: 'superuser',
      settings: {search_path: ['public', 'evil', 'pg_catalog']},
    })
    owner = await db.createRole('owner')
    await db.query(`
      create unique index on leaderboard (id);
      create materialized view standings as select id, name from users;
      create unique index on standings (id);
      alter materialized view standings owner to ${owner.name};
      create materialized view unready as select id from users;
      grant select on users to ${owner.name}`)
    // Before, since the tables themselves are the superuser's.
    await documentOf(['migrate'], db)
    await db.query(`grant select, insert, update, delete on all tables in schema public to ${owner.name}`)

    await db.query(`grant create on schema public to ${mallory.name}`)
    await safe.query(springs(mallory.name))
    const attacker = await safeSession(db)
    await attacker.query(`set role ${mallory.name}; set check_function_bodies = off`)
    await attacker.query(SHADOWS)
    const {rows} = await attacker.query<{made: string}>(`select current_setting('evil.made') as made`)
    expect(Number(rows[0]?.made)).toBeGreaterThan(3000)
    // For every role without a path of its own, the tests' included: from here on they use the safe session.
    await safe.query(`alter database ${db.name} set search_path = public, evil, pg_catalog`)
  }, 120_000)

  /** As somebody who takes no care. */
  async function carelessly(role: Role, ...statements: string[]): Promise<Mark[]> {
    const careless = new pg.Client({connectionString: role.url})
    await careless.connect()
    // A statement may well fail on what it gets.
    for (const statement of statements) await careless.query(statement).catch(() => {})
    await careless.end()
    return marksOf(safe)
  }

  test('are in the way of whoever takes no care, as superuser or not', async () => {
    for (const role of [victim, owner]) {
      const marks = await carelessly(
        role,
        'select now()',
        `select hashtext('public.leaderboard')`,
        `select pg_try_advisory_lock(1::bigint)`,
        `select 'a'::varchar = 'b'::varchar`,
        `select clock_timestamp() - interval '1 s'`,
        'select relname from pg_class',
        `select 'x'::text`,
        `select to_char(current_timestamp, 'YYYY')`,
        `select format('%s %s', relname, relname) from pg_catalog.pg_class limit 1`,
      )
      const found = new Set(marks.filter(({who}) => who === role.name).map(({what}) => what))
      const expected = [
        'now',
        'hashtext',
        'pg_try_advisory_lock',
        '=',
        '-',
        'pg_class',
        'text',
        'to_char',
        'format',
      ]
      for (const what of expected) expect(found).toContain(what)
    }
    await resetMarks(safe)
    // Behind Postgres's own too, where they fit better.
    const marks = await carelessly(
      owner,
      'set search_path = "$user", public',
      `select 'a'::varchar = 'b'::varchar`,
    )
    expect(marks).toContainEqual({what: '=', who: owner.name})
    await resetMarks(safe)
  })

  test.each([
    ['a superuser with a search_path of its own', () => victim, 'public.leaderboard'],
    ['the owner of the view under that of the database', () => owner, 'public.standings'],
  ])('run under no command of %s', async (_, role, view) => {
    const options = {url: role().url}
    for (const line of [
      ['matviews', 'register', view],
      ['matviews', 'list'],
      ['matviews', 'show', view],
      ['matviews', 'discover'],
      ['matviews', 'refresh', view],
      ['matviews', 'refresh', view, '--mode', 'concurrent', '--wait-timeout', '20s', '--timeout', '20s'],
      ['matviews', 'update', view, '--mode', 'concurrent'],
      ['matviews', 'history', view],
      ['schedules', 'create', '--name', view, '--cron', '@hourly', '--view', view],
      ['schedules', 'list'],
      ['schedules', 'update', view, '--cron', '@daily'],
      ['schedules', 'show', view],
      ['schedules', 'disable', view],
      ['schedules', 'enable', view],
    ]) {
      await documentOf(line, options)
    }
    const {id} = (await documentOf<{job: {id: string}}>(['schedules', 'run', view], options)).job
    for (const line of [
      ['jobs', 'show', id],
      ['jobs', 'list', '--schedule', view],
      ['jobs', 'cancel', id],
      ['jobs', 'stats'],
      ['jobs', 'prune', '--older-than', '1d'],
      ['schedules', 'delete', view],
      ['matviews', 'unregister', view],
    ]) {
      await documentOf(line, options)
    }
    await failureOf(['matviews', 'refresh', view], 'NOT_REGISTERED', options)
    await failureOf(['matviews', 'register', 'public.users'], 'VIEW_NOT_FOUND', options)
    await failureOf(['jobs', 'retry', id], 'JOB_STATE_CONFLICT', options)
    expect(await marksOf(safe)).toEqual([])
    expect(await wasPulled(safe)).toBe(false)
  })

  test.each([
    ['a superuser', () => victim, 'public.leaderboard'],
    ['the owner of the view', () => owner, 'public.standings'],
  ])('run under no refresh of %s that fails', async (_, role, view) => {
    const options = {url: role().url}
    await documentOf(['matviews', 'register', view], options)
    const other = await safeSession(db)
    await other.query(`begin; select from ${view} limit 1`)
    const line = ['matviews', 'refresh', view]
    const timeout = await failureOf([...line, '--lock-timeout', '1s'], 'TIMEOUT', options)
    expect(timeout.details?.blockers).not.toEqual([])
    await other.query(`rollback; select pg_advisory_lock(hashtext('${view}'))`)
    await failureOf(line, 'REFRESH_IN_PROGRESS', options)
    await other.query('select pg_advisory_unlock_all()')
    if (role() === victim) {
      await documentOf(['matviews', 'register', 'unready'], options)
      const failure = await failureOf(
        ['matviews', 'refresh', 'unready', '--mode', 'concurrent'],
        'UNIQUE_INDEX_REQUIRED',
        options,
      )
      expect(failure.hint).toMatch(/^CREATE UNIQUE INDEX ON public\.unready \(id\);/)
    } else {
      await safe.query(`insert into public._ayb_matview_refreshes (view_name) values ('unready')
                            on conflict do nothing`)
      await failureOf(['matviews', 'refresh', 'unready'], 'PERMISSION_DENIED', options)
    }
    await documentOf(['matviews', 'unregister', view], options)
    expect(await marksOf(safe)).toEqual([])
    expect(await wasPulled(safe)).toBe(false)
  })

  test.each([
    ['a superuser', () => victim, 'leaderboard'],
    ['the owner of the view', () => owner, 'standings'],
  ])(
    'run under no worker of %s, through backlogs, schedules, dead workers and retention',
    async (_, role, view) => {
      await safe.query(
        'truncate public._ayb_jobs, public._ayb_job_schedules, public._ayb_matview_refresh_runs',
      )
      await safe.query(
        `insert into public._ayb_jobs (payload, type, state, attempts, worker_id, lease_until, completed_at)
       select jsonb_build_object('view_name', $1::text), 'materialized_view_refresh', j.*
         from (values ('queued', 0, null, null::timestamptz, null::timestamptz), ('queued', 0, null, null, null),
                      ('queued', 0, null, null, null), ('queued', 3, null, null, null),
                      ('running', 1, 'ayb:0123456789abcdef:gone:1', '2100-01-01', null),
                      ('running', 1, 'server-1', '2020-01-01', null),
                      ('completed', 1, null, null, '2020-01-01')) j`,
        [view],
      )
      await safe.query(
        `insert into public._ayb_job_schedules (name, job_type, payload, cron_expr, next_run_at)
       values ('due', 'materialized_view_refresh', jsonb_build_object('view_name', $1::text), '0 0 1 1 *', now())`,
        [view],
      )
      const args = ['--concurrency', '1', '--poll-interval', '200ms', '--retention', '30d']
      const worker = await startWorker({url: role().url}, args)
      await until(
        async () => {
          const {rows} = await safe.query(`select from public._ayb_jobs where completed_at > '2021-01-01'`)
          return rows.length === 6
        },
        {what: 'the jobs to be done', timeoutMs: PATIENCE_MS},
      )
      await stopWorkers([worker])
      const once = await ayb(['worker', '--once', '--json'], {url: role().url})
      expect(once.json()).toMatchObject({claimed: 0})
      const {rows} = await safe.query(
        'select state, count(*)::int as jobs from public._ayb_jobs group by 1 order by 1',
      )
      expect(rows).toEqual([
        {state: 'completed', jobs: 6},
        {state: 'failed', jobs: 1},
      ])
      // It did more than to claim and to refresh: it took jobs back, failed one, and pruned one.
      expect(worker.logs().filter(({msg}) => /died|no attempts left|past retention/.test(msg))).toHaveLength(
        4,
      )
      expect(await marksOf(safe)).toEqual([])
      expect(await wasPulled(safe)).toBe(false)
    },
  )
})
