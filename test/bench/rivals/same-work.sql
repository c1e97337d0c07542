-- What a user of a job queue creates to have of its refreshes what ayb has of its own. More than one worker may start.
select pg_advisory_xact_lock(hashtext('same work'));

create table if not exists refresh_status (
  view_name text primary key,
  status text,
  refreshed_at timestamptz,
  duration_ms int,
  error text
);

create table if not exists refresh_history (
  id bigint generated always as identity primary key,
  view_name text not null,
  job_id text not null,
  started_at timestamptz not null,
  duration_ms int not null,
  status text not null,
  error text,
  size_bytes bigint
);
create index if not exists refresh_history_view on refresh_history (view_name, started_at desc);
create unique index if not exists refresh_history_job on refresh_history (job_id) where status = 'success';

insert into refresh_status (view_name) select matviewname from pg_matviews on conflict do nothing;

-- One message, one transaction: the lock of the view, REFRESH, history and status. A job that was refreshed by a
-- worker that died before it could complete the job is not refreshed again. Returns whether the lock was free.
create or replace function refresh_view(view text, job text, is_concurrent boolean) returns boolean
language plpgsql as $$
declare
  began timestamptz := clock_timestamp();
  took int;
begin
  if not pg_try_advisory_xact_lock(hashtext(view)) then
    return false;
  end if;
  if exists (select from refresh_history where job_id = job and status = 'success') then
    return true;
  end if;
  execute format('refresh materialized view %s %I', case when is_concurrent then 'concurrently' else '' end, view);
  took := extract(epoch from clock_timestamp() - began) * 1000;
  insert into refresh_history (view_name, job_id, started_at, duration_ms, status, size_bytes)
  values (view, job, began, took, 'success', pg_total_relation_size(format('%I', view)::regclass));
  update refresh_status
     set status = 'success', refreshed_at = clock_timestamp(), duration_ms = took, error = null
   where view_name = view;
  return true;
end $$;

create or replace function record_failure(view text, job text, began timestamptz, message text) returns void
language plpgsql as $$
declare
  took int := extract(epoch from clock_timestamp() - began) * 1000;
begin
  insert into refresh_history (view_name, job_id, started_at, duration_ms, status, error)
  values (view, job, began, took, 'error', message);
  update refresh_status
     set status = 'error', refreshed_at = clock_timestamp(), duration_ms = took, error = message
   where view_name = view;
end $$;
