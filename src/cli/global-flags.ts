import * as Flags from '@oclif/core/flags'
import {invalidArgument} from '../lib/errors.ts'

/** The global flags that select the database. */
export interface ConnectionFlags {
  'database-url'?: string | undefined
  service?: string | undefined
}

/** The flags of every command. */
export const GLOBAL_FLAGS = {
  'database-url': Flags.string({
    summary: 'The database to connect to. Overrides AYB_DATABASE_URL, DATABASE_URL and PG*.',
    helpValue: 'postgres://…',
    helpGroup: 'GLOBAL',
  }),
  service: Flags.string({
    summary: 'A service of pg_service.conf to connect to, instead of --database-url. Overrides PGSERVICE.',
    helpValue: '<name>',
    helpGroup: 'GLOBAL',
  }),
  quiet: Flags.boolean({
    summary: 'Print only warnings and errors on stderr: no progress, no advice.',
    helpGroup: 'GLOBAL',
    exclusive: ['verbose'],
  }),
  verbose: Flags.boolean({
    summary: 'Print each step on stderr.',
    helpGroup: 'GLOBAL',
  }),
}

/**
 * The address that the flags name; without one, the environment decides.
 * @throws AybError INVALID_ARGUMENT for both --database-url and --service, or an empty service name
 */
export function connectionString({'database-url': url, service}: ConnectionFlags) {
  if (service === undefined) return {databaseUrl: url}
  if (url !== undefined) {
    throw invalidArgument('--service and --database-url both say where to connect', 'leave one of them out')
  }
  if (service === '') {
    throw invalidArgument(
      '--service is empty',
      'name a service: the text in [brackets] in ~/.pg_service.conf',
    )
  }
  return {databaseUrl: `service='${service.replaceAll(/['\\]/g, '\\$&')}'`, urlName: '--service'}
}
