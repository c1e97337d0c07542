import type {SkipBlocker} from './records/views.ts'

const WORDS: Record<string, (name: string) => string> = {
  clock: (name) => `the definition calls ${name}`,
  volatile: (name) => `the definition calls ${name}, which is volatile`,
  stable: (name) => `the definition calls ${name}, whose answer can change without a change of data`,
  sample: () => 'the definition takes a random sample',
  conversion: () => 'the definition uses JSON_TABLE, XMLTABLE or a query function of SQL/JSON',
  'system-column': () => 'the definition reads a system column',
  'name-type': (name) =>
    name === ''
      ? 'the definition reads a type whose text depends on the names of objects'
      : `the definition uses the type ${name}, whose text depends on the names of objects`,
  type: (name) => `type ${name} has an input or output function that is not immutable`,
  catalog: (name) => `the definition reads ${name}, which belongs to Postgres`,
  itself: () => 'the view reads itself',
  foreign: (name) => `${name} is a foreign table`,
  sequence: (name) => `${name} is a sequence`,
  kind: (name) => `Postgres does not count the changes of ${name}`,
  'row-security': (name) => `${name} has row security`,
  'access-method': (name) => `${name} has a table access method of its own`,
  'track-counts': () => 'track_counts is off',
  'track-counts-set': () => 'track_counts is set for a role or for the database',
  epoch: () => 'the server does not tell whether its statistics are complete',
  'not-populated': () => 'the view holds no data',
  'old-version': () => 'PostgreSQL before 15 can lose counts of changes for good',
  version: () => 'this version of Postgres is newer than those that ayb was tested with',
}

/** A reason why a view is always refreshed, in words. */
export const skipBlocker = ({kind, name}: {kind: string; name: string}): SkipBlocker => ({
  code: kind.replaceAll('-', '_').toUpperCase(),
  message: (WORDS[kind] ?? (() => kind))(name),
})
