import type {Migration} from './migration.ts'

/** The workers that are alive, and some that were. */
export const workers: Migration = {
  version: 7,
  name: '0007-workers',
  isBreaking: false,
  without: 'workers cannot be listed',
  creates: ['workers'],
  statements: (tables) => [
    {
      sql: `create table if not exists ${tables.workers} (
  id varchar(100) primary key,
  host text not null,
  pid integer not null,
  version text not null,
  slots integer not null,
  poll_interval_ms bigint not null,
  is_pooled boolean not null,
  started_at timestamptz not null,
  last_seen_at timestamptz not null
)`,
    },
  ],
}
