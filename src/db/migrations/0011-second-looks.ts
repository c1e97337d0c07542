import type {Migration} from './migration.ts'

/** The version that gave the states the times of second looks. */
export const SECOND_LOOKS = 11

/** For each view: when jobs are due that were put back because the view looked unchanged. */
export const secondLooks: Migration = {
  version: SECOND_LOOKS,
  name: '0011-second-looks',
  isBreaking: false,
  without:
    'a job that is retried, or put off by a quiet time, takes one look before its view counts as unchanged',
  creates: [],
  statements: (tables) => [
    {
      sql: `alter table ${tables.states}
  add column if not exists second_looks timestamptz[]`,
      alters: 'states',
    },
  ],
}
