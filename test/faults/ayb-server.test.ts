import {describe, expect, test} from 'vitest'
import type {Job} from '../../src/lib/records/jobs.ts'
import type {Migrated} from '../../src/lib/records/migrations.ts'
import type {Registered, Registration} from '../../src/lib/records/registrations.ts'
import {ayb} from '../support/ayb.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {documentOf, failureOf} from '../support/documents.ts'
import {insertJob, jobOf, lostSince, runsOfJob, untilState} from '../support/jobs.ts'
import {createGatedView, registrationOf, untilRefreshing} from '../support/refresh.ts'
import {insertSchedule} from '../support/schedules.ts'
import {until} from '../support/until.ts'
import {complaints, startWorker, stopWorkers} from '../support/worker.ts'

const SOON = ['--poll-interval', '200ms']
const TYPE = 'materialized_view_refresh'

interface Shared {
  db: TestDatabase
  /** Who owns the three tables, and the AYB server's role. */
  server: string
  /** As another role, which may use those tables and owns the view, and trusts the server. */
  client: {url: string; env: Record<string, string>}
}

/** A database whose tables an AYB server made: its checks on names, none of our tables and indexes. */
async function createShared(): Promise<Shared> {
  const db = await createTestDatabase({hasTables: true})
  const server = (await db.createRole('server')).name
  const role = await db.createRole('client')
  await db.query(`
    drop table _ayb_cli_migrations, _ayb_matview_refresh_runs, _ayb_matview_states, _ayb_matview_policies,
      _ayb_job_edges, _ayb_workers, _ayb_notices, _ayb_schedule_policies, _ayb_schedule_promises;
    do $$ declare name text; begin
      for name in select indexname from pg_indexes where indexname like 'ayb\\_cli\\_%' loop
        execute format('drop index %I', name);
      end loop;
    end $$;
    alter table _ayb_matview_refreshes add check (schema_name ~ '^[A-Za-z_][A-Za-z0-9_]*$'),
                                       add check (view_name ~ '^[A-Za-z_][A-Za-z0-9_]*$');
    alter table _ayb_matview_refreshes owner to ${server};
    alter table _ayb_job_schedules owner to ${server};
    alter table _ayb_jobs owner to ${server};
    grant select, insert, update, delete on _ayb_matview_refreshes, _ayb_job_schedules, _ayb_jobs to ${role.name};
    grant select on users, workouts to ${role.name};
    grant create on schema public to ${server}, ${role.name};
    alter materialized view leaderboard owner to ${role.name}`)
  return {db, server, client: {url: role.url, env: {AYB_TRUSTED_OWNER: server}}}
}

/** Beside the example's view, as one that the client may refresh. */
async function createView({db, client}: Shared, name: string): Promise<void> {
  const owner = new URL(client.url).username
  await db.query(`create materialized view ${name} as select clock_timestamp() as stamp`)
  await db.query(`alter materialized view ${name} owner to ${owner}`)
}

const startClient = ({client}: Shared, args: string[] = SOON) => startWorker(client, args, {env: client.env})

describe.concurrent('on the tables of an AYB server', {timeout: 120_000}, () => {
  test('a worker that does not trust their owner does not start', async () => {
    const {db, client, server} = await createShared()
    const {code, stderr} = await ayb(['worker'], {url: client.url})
    expect(code).toBe(7)
    expect(stderr).toContain(`export AYB_TRUSTED_OWNER=${server}`)
    expect(await db.query(`select from pg_class where relname = '_ayb_cli_migrations'`)).toEqual([])
  })

  test('a worker says once which indexes it does without, and works without them', async () => {
    const shared = await createShared()
    const {db, server} = shared
    await insertSchedule(db, 'of the server', {view: 'leaderboard', cron: '0 0 1 1 *'})
    const first = await startClient(shared)
    const done = await first.waitForLog(({msg}) => msg === 'refreshed', 'the refresh')
    expect(done).toMatchObject({view: 'public.leaderboard', attempt: 1})
    await stopWorkers([first])
    const warnings = complaints([first]).map(({msg}) => msg)
    expect(warnings).toHaveLength(7)
    for (const warning of warnings) {
      expect(warning).toMatch(
        new RegExp(
          `^_ayb_job\\w+ belongs to ${server}, so ayb did not create an index that makes it faster; `,
        ),
      )
    }
    expect(
      await db.query(`select indexname from pg_indexes where indexname like 'ayb\\_cli\\_jobs%'`),
    ).toEqual([])
    const second = await startClient(shared)
    await stopWorkers([second])
    expect(complaints([second])).toEqual([])

    // As the warnings say, by whom they name.
    const session = await db.connect()
    await session.query(`set role ${server}`)
    for (const warning of warnings) await session.query(warning.slice(warning.indexOf(' run: ') + 6))
    const indexes = await db.query(
      `select indexname from pg_indexes where indexname ~ '^ayb_cli_(jobs|sched)'`,
    )
    expect(indexes).toHaveLength(7)
    await db.query('delete from _ayb_cli_migrations')
    expect((await documentOf<Migrated>(['migrate'], shared.client)).warnings).toEqual([])
  })

  test('a view whose name their checks refuse is neither registered nor refreshed, and stops nothing', async () => {
    const shared = await createShared()
    const {db, client} = shared
    const refused = ['"weekly stats"', 'größe', 'cash$', '"1st"']
    for (const name of [...refused, '"_Fine9"']) await createView(shared, name)
    await documentOf(['migrate'], client)
    for (const name of refused) {
      const line = ['matviews', 'register', `public.${name}`]
      const failure = await failureOf(line, 'INVALID_IDENTIFIER', client)
      expect(failure).toMatchObject({status: 400, message: expect.stringContaining(`public.${name}`)})
      expect(failure.hint).toContain('rename the view')
    }
    const {registration} = await documentOf<Registered>(['matviews', 'register', '_Fine9'], client)
    expect(registration.viewName).toBe('_Fine9')

    const jobs = await Promise.all(
      refused.map((name) => insertJob(db, {schema: 'public', view_name: name.replaceAll('"', '')})),
    )
    const fine = await insertJob(db, {view_name: '_Fine9'})
    const worker = await startClient(shared)
    for (const id of jobs) {
      const job = await untilState(db, id, 'failed')
      expect(job).toMatchObject({attempts: 1, last_error: expect.stringContaining('does not take the name')})
    }
    await untilState(db, fine, 'completed')
    await stopWorkers([worker])
    const failures = worker.logs().filter(({level}) => level === 'error')
    expect(failures.map(({code}) => code)).toEqual(refused.map(() => 'INVALID_IDENTIFIER'))
    expect(await db.query('select view_name from _ayb_matview_refreshes')).toEqual([{view_name: '_Fine9'}])
  })

  test('rows of other types stay as they are, byte for byte, whatever runs beside them', async () => {
    const shared = await createShared()
    const {db, client} = shared
    await db.query(`
      insert into _ayb_job_schedules (name, job_type, payload, cron_expr, timezone, enabled, next_run_at) values
        ('mails', 'send_mail', '{"view_name": "leaderboard"}', '* * * * *', 'UTC', true, '2020-01-01'),
        ('odd', 'send_mail', '[]', 'whenever', 'Mars/Olympus', true, '2020-01-01'),
        ('off', 'cleanup', '{}', '@daily', 'UTC', false, null);
      insert into _ayb_jobs (type, payload, state, run_at, lease_until, worker_id, attempts, max_attempts, idempotency_key, updated_at, completed_at)
      select t.type, '{"view_name": "leaderboard"}', s.state, '2020-01-01', s.lease, s.worker, s.attempts, 3, t.type || s.state || s.attempts,
             '2020-01-01', s.ended
        from (values ('send_mail'), ('cleanup'), ('MATERIALIZED_VIEW_REFRESH'), ('materialized_view_refresh ')) t (type),
             (values ('queued', null::timestamptz, null, 0, null::timestamptz), ('queued', null, null, 3, null),
                     ('running', '2020-01-01', 'server-1', 1, null), ('running', null, 'ayb:0123456789abcdef:gone:1', 3, null),
                     ('completed', null, null, 1, '2020-01-01'), ('failed', null, null, 3, null),
                     ('canceled', null, null, 0, null)) s (state, lease, worker, attempts, ended);
      update _ayb_jobs set schedule_id = (select id from _ayb_job_schedules where name = 'mails') where type = 'send_mail'`)
    const foreign = () =>
      db.query(`select j.ctid, j.xmin, j::text as line from _ayb_jobs j where type <> '${TYPE}'
                 union all select s.ctid, s.xmin, s::text from _ayb_job_schedules s where job_type <> '${TYPE}' order by 3`)
    const before = await foreign()
    expect(before).toHaveLength(31)
    const [job] = await db.query<{id: string}>(
      `select id from _ayb_jobs where type = 'send_mail' and state = 'failed'`,
    )
    const [schedule] = await db.query<{id: string}>(`select id from _ayb_job_schedules where name = 'mails'`)

    await documentOf(['migrate'], client)
    const worker = await startClient(shared, [...SOON, '--retention', '1d'])
    const own = await insertJob(db, {view_name: 'leaderboard'})
    await untilState(db, own, 'completed')
    for (const id of [schedule?.id ?? '', 'mails', 'odd']) {
      for (const command of ['show', 'enable', 'disable', 'run', 'delete']) {
        await failureOf(['schedules', command, id], 'SCHEDULE_NOT_FOUND', client)
      }
    }
    for (const command of ['show', 'retry', 'cancel']) {
      await failureOf(['jobs', command, job?.id ?? ''], 'JOB_NOT_FOUND', client)
    }
    const create = ['schedules', 'create', '--cron', '@daily', '--view', 'leaderboard', '--name']
    await failureOf([...create, 'mails'], 'SCHEDULE_EXISTS', client)
    expect(await documentOf(['schedules', 'list'], client)).toEqual([])
    expect(await documentOf(['jobs', 'list'], client)).toHaveLength(1)
    expect(await documentOf(['jobs', 'prune', '--older-than', '0s'], client)).toMatchObject({deleted: 1})
    await documentOf(['matviews', 'unregister', 'leaderboard'], client)
    await stopWorkers([worker])
    expect(complaints([worker])).toEqual([])
    expect(await foreign()).toEqual(before)
  })

  test('a job that the server works on without a key of ours is its own while it renews the lease', async () => {
    const shared = await createShared()
    const {db, client} = shared
    await documentOf(['migrate'], client)
    const id = await insertJob(
      db,
      {view_name: 'leaderboard'},
      {
        state: 'running',
        worker_id: 'server-1',
        attempts: 1,
        last_run_at: lostSince(),
        lease_until: '2020-01-01',
      },
    )
    const renew = () =>
      db.query(
        `update _ayb_jobs set lease_until = now() + interval '1 min', updated_at = now() where id = $1`,
        [id],
      )
    await renew()
    const worker = await startClient(shared)
    for (let round = 0; round < 3; round++) {
      // The worker has looked, and more than once.
      await untilState(db, await insertJob(db, {view_name: 'leaderboard'}), 'completed')
      await renew()
    }
    expect(await jobOf(db, id)).toMatchObject({state: 'running', worker_id: 'server-1', attempts: 1})
    await db.query('update _ayb_jobs set lease_until = now() where id = $1', [id])
    expect(await untilState(db, id, 'completed')).toMatchObject({attempts: 2})
    expect((await runsOfJob(db, id))[0]).toMatchObject({status: 'error', worker_id: 'server-1'})
    await stopWorkers([worker])
  })

  test('a job that the server took away in mid-refresh is the server’s: what we record changes nothing', async () => {
    const shared = await createShared()
    const {db, client} = shared
    await documentOf(['migrate'], client)
    const gate = await createGatedView(db, 'slow')
    await db.query(`alter materialized view slow owner to ${new URL(client.url).username}`)
    await gate.close()
    const id = await insertJob(db, {view_name: 'slow'}, {idempotency_key: 'once-only'})
    const worker = await startClient(shared)
    await untilRefreshing(db, 'slow')
    const registration = await registrationOf(db, 'slow')
    // Without a look at our key, as one that takes a lease for over.
    await db.query(
      `update _ayb_jobs set worker_id = 'server-1', attempts = attempts + 1, last_run_at = now(),
              lease_until = now() + interval '1 hour', updated_at = now() where id = $1`,
      [id],
    )
    const taken = await jobOf(db, id)
    expect(taken).toMatchObject({state: 'running', worker_id: 'server-1', attempts: 2})
    await gate.open()
    const lost = await worker.waitForLog(
      ({jobId, level}) => jobId === id && level === 'warn',
      'that it is lost',
    )
    expect(lost.msg).toBe('the job was canceled or taken over by another worker, so nothing was recorded:')
    await stopWorkers([worker])
    expect(await jobOf(db, id)).toEqual(taken)
    expect(await runsOfJob(db, id)).toEqual([])
    expect(await registrationOf(db, 'slow')).toEqual(registration)
    expect(complaints([worker])).toHaveLength(1)
  })

  test('a set of jobs goes on where the server queues its first job, runs members, cancels and deletes', async () => {
    const shared = await createShared()
    const {db, client, server} = shared
    await documentOf(['migrate'], client)
    const owner = new URL(client.url).username
    await db.query(`create materialized view a as select clock_timestamp() as stamp;
      create materialized view b as select stamp from a;
      create materialized view c as select stamp from b;
      create materialized view d as select stamp from a`)
    for (const view of ['a', 'b', 'c', 'd']) {
      await db.query(`alter materialized view ${view} owner to ${owner}`)
      await documentOf(['matviews', 'register', view], client)
    }
    await documentOf(
      ['schedules', 'create', '--name', 'nightly', '--cron', '0 3 1 1 *', '--view', 'a', '--cascade'],
      client,
    )
    const session = await db.connect()
    await session.query(`set role ${server}`)
    /** As it advances a schedule. */
    const queue = async () => {
      const {rows} = await session.query(
        `insert into _ayb_jobs (type, payload, schedule_id, max_attempts, run_at)
         select job_type, payload, id, max_attempts, now() from _ayb_job_schedules returning id`,
      )
      return (rows[0] as {id: string}).id
    }
    /** As it claims jobs: ours, too, without a look at our table. */
    const finish = async (view: string, state: 'completed' | 'failed' | 'canceled') => {
      const claim = `update _ayb_jobs set state = 'running', worker_id = 'server-1', attempts = attempts + 1, last_run_at = now(),
              lease_until = now() + interval '5 min', updated_at = now()
        where state = 'queued' and payload ->> 'view_name' = $1 returning id`
      const {rows} = await until(
        async () => {
          const result = await session.query(claim, [view])
          return result.rows.length > 0 && result
        },
        {what: `the job of ${view}`},
      )
      const {id} = rows[0] as {id: string}
      await session.query(
        `update _ayb_jobs set state = $2::text, lease_until = null, worker_id = null, updated_at = now(), last_error = null,
                completed_at = case when $2 = 'completed' then now() end, canceled_at = case when $2 = 'canceled' then now() end
          where id = $1`,
        [id, state],
      )
      return id
    }
    const states = async () =>
      Object.fromEntries(
        // The newest of each view.
        (await documentOf<Job[]>(['jobs', 'list'], client))
          .reverse()
          .map(({payload, state}) => [(payload as {view_name: string}).view_name, state]),
      )
    const stamp = async (view: string) => (await db.query(`select stamp::text from ${view}`))[0]

    const before = await stamp('a')
    const first = await queue()
    const worker = await startClient(shared)
    const untilStates = (wanted: Record<string, string>) =>
      until(
        async () => {
          const now = await states()
          return Object.entries(wanted).every(([view, state]) => now[view] === state)
        },
        {what: JSON.stringify(wanted), timeoutMs: 30_000},
      )
    await untilStates({a: 'completed', b: 'completed', c: 'completed', d: 'completed'})
    expect(await stamp('c')).not.toEqual(before)
    expect(await jobOf(db, first)).toMatchObject({state: 'completed', attempts: 1})
    await stopWorkers([worker])

    // Its workers run members while none of ours is there: only the poll of a later one finds that.
    await db.query('delete from _ayb_jobs')
    await documentOf(['schedules', 'run', 'nightly'], client)
    await finish('a', 'completed')
    const second = await startClient(shared, [...SOON, '--concurrency', '1'])
    await untilStates({a: 'completed', b: 'completed', c: 'completed', d: 'completed'})
    await stopWorkers([second])

    await db.query('delete from _ayb_jobs')
    await documentOf(['schedules', 'run', 'nightly'], client)
    await finish('a', 'failed')
    const third = await startClient(shared)
    await untilStates({a: 'failed', b: 'canceled', c: 'canceled', d: 'canceled'})
    await session.query(
      `update _ayb_jobs set state = 'queued', attempts = 0, run_at = now() where state = 'failed'`,
    )
    await untilStates({a: 'completed', b: 'completed', c: 'completed', d: 'completed'})
    await documentOf(['schedules', 'run', 'nightly'], client)
    await untilStates({a: 'completed', b: 'completed', c: 'completed', d: 'completed'})
    await stopWorkers([third])
    // What it reads of a job or a schedule stays within its own times.
    const far = await db.query(
      `select from _ayb_jobs where not run_at between now() - interval '1 hour' and now() + interval '1 hour'`,
    )
    expect(far).toEqual([])
  })

  test('what ayb registers, schedules and records is what the server reads', async () => {
    const {db, client, server} = await createShared()
    const session = await db.connect()
    await session.query(`set role ${server}`)
    await documentOf(['matviews', 'register', 'leaderboard'], client)
    await documentOf(['matviews', 'refresh', 'leaderboard'], client)
    const {rows} = await session.query('select * from _ayb_matview_refreshes')
    const [listed] = await documentOf<Registration[]>(['matviews', 'list'], client)
    expect(rows[0]).toMatchObject({
      id: listed?.id,
      schema_name: 'public',
      view_name: 'leaderboard',
      refresh_mode: 'standard',
      last_refresh_status: 'success',
      last_refresh_error: null,
      last_refresh_duration_ms: expect.any(Number),
    })
    await documentOf(
      ['schedules', 'create', '--name', 'ours', '--cron', '@daily', '--view', 'leaderboard'],
      client,
    )
    await documentOf(['schedules', 'run', 'ours'], client)
    const jobs = await session.query(
      `select j.type, j.payload, j.state, j.attempts, j.max_attempts, j.worker_id, j.lease_until, j.idempotency_key, s.name
         from _ayb_jobs j join _ayb_job_schedules s on s.id = j.schedule_id`,
    )
    expect(jobs.rows).toEqual([
      {
        ...{type: TYPE, payload: {schema: 'public', view_name: 'leaderboard'}, state: 'queued', name: 'ours'},
        ...{attempts: 0, max_attempts: 3, worker_id: null, lease_until: null, idempotency_key: null},
      },
    ])
    // Its own migrations still can do what an owner can.
    await session.query('alter table _ayb_jobs add column of_the_server text')
    await documentOf(['jobs', 'list'], client)
    // And it cannot see into ours unless it is let.
    await expect(session.query('select from _ayb_matview_refresh_runs')).rejects.toMatchObject({
      code: '42501',
    })
  })
})
