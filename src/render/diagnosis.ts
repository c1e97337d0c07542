import {qualifiedName} from '../lib/identifier.ts'
import {printable} from '../lib/printable.ts'
import type {Diagnosis, Finding, Severity} from '../lib/records/diagnosis.ts'
import type {RenderContext, Style} from './terminal.ts'
import {wrapHanging} from './width.ts'

const STYLES: Record<Severity, Style> = {error: 'red', warning: 'yellow', info: 'cyan'}

/** Each finding with its facts and what mends it; in a pipe a line each, with its values between tabs. */
export const renderDiagnosis = ({findings}: Diagnosis, {terminal}: RenderContext): string =>
  findings
    .map((finding) => {
      const {severity, check, message, evidence, fix} = finding
      if (!terminal.isTerminal) return pipeLine(finding)
      const {columns, style} = terminal
      const said = wrapHanging(`${severity} ${printable(message)} [${check}]`, columns)
      const coloured = `${style[STYLES[severity]](severity)}${said.slice(severity.length)}`
      const lines = [
        coloured.replace(/\[[^[]*\]$/, (name) => style.dim(name)),
        ...(evidence === null ? [] : [`  ${wrapHanging(printable(evidence), columns - 2)}`]),
        // On one line, to be pasted.
        ...[fix.sql, fix.command].flatMap((text) => (text === null ? [] : [`  fix: ${printable(text)}`])),
      ]
      return lines.join('\n')
    })
    .join('\n')

function pipeLine({
  severity,
  check,
  schemaName,
  viewName,
  schedule,
  message,
  evidence,
  fix,
}: Finding): string {
  const view = schemaName === null || viewName === null ? null : qualifiedName({schemaName, viewName})
  const values = [severity, check, view, schedule, message, evidence, fix.sql, fix.command]
  return values.map((value) => printable(value ?? '')).join('\t')
}

/** `12 views: 1 error, 2 warnings`. */
export function summarizeDiagnosis({counts, checkedViews}: Diagnosis): string {
  const found = (Object.keys(STYLES) as Severity[])
    .filter((severity) => counts[severity] > 0)
    .map(
      (severity) =>
        `${counts[severity]} ${severity}${severity === 'info' || counts[severity] === 1 ? '' : 's'}`,
    )
  const views = `${checkedViews} ${checkedViews === 1 ? 'view' : 'views'}`
  return `${views}: ${found.length === 0 ? 'nothing found' : found.join(', ')}`
}
