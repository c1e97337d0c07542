import {parseIdentifier, quoteIdentifier} from '../lib/identifier.ts'

/** The tables that ayb reads and writes, by what they hold. */
export const SYSTEM_TABLES = {
  migrations: '_ayb_cli_migrations',
  registrations: '_ayb_matview_refreshes',
  runs: '_ayb_matview_refresh_runs',
  schedules: '_ayb_job_schedules',
  jobs: '_ayb_jobs',
  states: '_ayb_matview_states',
  policies: '_ayb_matview_policies',
  edges: '_ayb_job_edges',
  workers: '_ayb_workers',
  notices: '_ayb_notices',
  schedulePolicies: '_ayb_schedule_policies',
  promises: '_ayb_schedule_promises',
} as const

export type SystemTable = keyof typeof SYSTEM_TABLES

/** Each system table as SQL names it: quoted, with its schema. */
export type TableNames = Record<SystemTable, string>

/** The schema of the system tables, and a further trusted role. */
export interface SystemSettings {
  schemaName: string
  trustedOwner: string | null
}

/**
 * Reads AYB_SYSTEM_SCHEMA and AYB_TRUSTED_OWNER.
 * @throws AybError INVALID_IDENTIFIER
 */
export function systemSettings(env: NodeJS.ProcessEnv): SystemSettings {
  const schema = env.AYB_SYSTEM_SCHEMA
  return {
    schemaName: schema ? parseIdentifier(schema, 'schema name in AYB_SYSTEM_SCHEMA') : 'public',
    trustedOwner: env.AYB_TRUSTED_OWNER || null,
  }
}

export function tableNames(schemaName: string): TableNames {
  const schema = quoteIdentifier(schemaName)
  const entries = Object.entries(SYSTEM_TABLES).map(([key, name]) => [key, `${schema}.${name}`])
  return Object.fromEntries(entries) as TableNames
}
