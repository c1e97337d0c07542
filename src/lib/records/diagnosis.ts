/** How bad a finding is: refreshes fail; something is slow, or will fail; or good to know. */
export type Severity = 'error' | 'warning' | 'info'

/** What `ayb doctor` found. */
export interface Finding {
  /** The name of the check that found it. */
  check: string
  severity: Severity
  /** Null where it is not about one view. */
  schemaName: string | null
  viewName: string | null
  /** The name of the schedule that it is about. */
  schedule: string | null
  message: string
  /** The facts behind it. */
  evidence: string | null
  /** What mends it: statements for the database, or a command of ayb. */
  fix: {sql: string | null; command: string | null}
}

/** What `ayb doctor` answers. */
export interface Diagnosis {
  /** The worst first. */
  findings: Finding[]
  counts: Record<Severity, number>
  checkedViews: number
  warnings: string[]
}
