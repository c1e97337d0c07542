import type {Database} from '../../db/database.ts'
import {qualifiedName, type ViewReference} from '../../lib/identifier.ts'
import {presentable} from '../../lib/outside-text.ts'
import type {Diagnosis, Finding, Severity} from '../../lib/records/diagnosis.ts'
import type {Repair} from '../../lib/repairs.ts'
import type {Unworded} from '../../lib/unworded.ts'
import {requireRegistration} from '../lookup.ts'
import type {Found} from './check.ts'
import {CHECKS} from './checks.ts'
import {readFacts} from './facts.ts'

/** A finding whose command is not worded yet. */
type UnwordedFinding = Omit<Finding, 'fix'> & {sql: string | null; repair: Repair | null}

export type UnwordedDiagnosis = Unworded<Omit<Diagnosis, 'findings'>> & {findings: UnwordedFinding[]}

const SEVERITIES: readonly Severity[] = ['error', 'warning', 'info']

/**
 * What is wrong with the registered views and schedules, the worst first; with `references`, with these
 * views, and with the server.
 * @throws AybError NOT_REGISTERED
 */
export async function diagnose(
  db: Database,
  references: readonly ViewReference[] = [],
): Promise<UnwordedDiagnosis> {
  const meant = new Set<string>()
  for (const reference of references) meant.add(qualifiedName(await requireRegistration(db, reference)))
  const facts = await readFacts(db)
  const isMeant = ({view, others = [], schedule}: Found) =>
    meant.size === 0 ||
    (view ? [view, ...others].some((each) => meant.has(qualifiedName(each))) : schedule === undefined)
  const findings = CHECKS.flatMap(({name, find}) =>
    find(facts)
      .filter(isMeant)
      .map((found) => toFinding(name, found)),
  )
  findings.sort((a, b) => SEVERITIES.indexOf(a.severity) - SEVERITIES.indexOf(b.severity))
  const counts = Object.fromEntries(
    SEVERITIES.map((severity) => [severity, findings.filter((found) => found.severity === severity).length]),
  ) as Diagnosis['counts']
  return {
    findings,
    counts,
    checkedViews: meant.size === 0 ? facts.views.size : meant.size,
    warnings: db.takeWarnings(),
  }
}

const toFinding = (
  check: string,
  {severity, view, schedule, message, evidence, sql, repair}: Found,
): UnwordedFinding => ({
  check,
  severity,
  schemaName: view?.schemaName ?? null,
  viewName: view?.viewName ?? null,
  schedule: schedule ?? null,
  message: presentable(message),
  evidence: evidence === undefined ? null : presentable(evidence),
  sql: sql ?? null,
  repair: repair ?? null,
})
