import type {Migration} from './migration.ts'

/** For each schedule with a promise: how old the data of its view may become. */
export const schedulePromises: Migration = {
  version: 10,
  name: '0010-schedule-promises',
  isBreaking: false,
  without: 'schedules cannot promise how old data may become',
  creates: ['promises'],
  statements: (tables) => [
    {
      // A promise holds while the schedule has that expression: a program that does not know the promise can
      // give the schedule another one. `due_at` is the next run that ayb computed last.
      sql: `create table if not exists ${tables.promises} (
  schedule_id uuid primary key,
  max_age_ms bigint,
  cron_expr text,
  due_at timestamptz
)`,
    },
  ],
}
