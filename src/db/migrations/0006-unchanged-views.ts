import type {Migration} from './migration.ts'

/** The version that gave the states the columns of fingerprints. */
export const UNCHANGED_VIEWS = 6

/**
 * For each view: the state of everything that the view reads, as its last refresh saw it, and the checks
 * since that found no change.
 */
export const unchangedViews: Migration = {
  version: UNCHANGED_VIEWS,
  name: '0006-unchanged-views',
  isBreaking: false,
  without: 'every refresh is done, also where nothing has changed',
  creates: [],
  statements: (tables) => [
    {
      sql: `alter table ${tables.states}
  add column if not exists fingerprint text,
  add column if not exists own_state text,
  add column if not exists fingerprint_at timestamptz,
  add column if not exists unchanged_since timestamptz,
  add column if not exists checked_at timestamptz,
  add column if not exists unchanged_checks bigint`,
      alters: 'states',
    },
  ],
}
