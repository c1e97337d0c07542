import {check} from './check.ts'
import {printRemark} from './print.ts'
import type {Shell} from './shell.ts'

/** Prints what Prometheus would say of a view, by the rules that ayb prints. */
export async function printAlerts(shell: Shell, view: string, alerts: readonly string[]): Promise<void> {
  const {rules} = await shell.json<{rules: string}>(['metrics', 'rules'])
  for (const alert of alerts) {
    const summary = new RegExp(`alert: ${alert}\\n[^]*?summary: (.*)`).exec(rules)?.[1]
    check(summary !== undefined, `the rules have the alert ${alert}`)
    printRemark(`${alert}: ${filledIn(summary ?? '', view)}`)
  }
}

/** The summary of an alert, as Prometheus words it. */
const filledIn = (summary: string, view: string): string =>
  summary
    .replace('{{ $labels.view }}', view)
    .replace('{{ $labels.database }}', 'the database')
    .replace(/\{\{ with .*?\}\}.*\{\{ end \}\}/, '')
