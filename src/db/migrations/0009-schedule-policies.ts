import type {Migration} from './migration.ts'

/**
 * For each schedule: what was asked for the beginning of its runs; a schedule without a row has no wishes.
 */
export const schedulePolicies: Migration = {
  version: 9,
  name: '0009-schedule-policies',
  isBreaking: false,
  without: 'schedules cannot have jitter, quiet times or another catch-up',
  creates: ['schedulePolicies'],
  statements: (tables) => [
    {
      sql: `create table if not exists ${tables.schedulePolicies} (
  schedule_id uuid primary key,
  jitter_ms bigint,
  catch_up varchar(20),
  not_during text[],
  updated_at timestamptz not null default now()
)`,
    },
  ],
}
