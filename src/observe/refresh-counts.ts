import {labelValue} from './labels.ts'

const STATUSES = ['success', 'error', 'canceled', 'skipped', 'unchanged'] as const

/** How a refresh ended, as metrics say it. */
export type CountedStatus = (typeof STATUSES)[number]

const NAME = 'ayb_refreshes_total'

/**
 * Counts refreshes by view and result. A registered view has each count from 0 on: `increase()` of Prometheus
 * does not see the first event of a series that begins with 1. Written here, for the sake of 20,000 views.
 */
export class RefreshCounts {
  readonly #counts = new Map<string, Map<CountedStatus, number>>()

  /** Counts a refresh. The view has an empty name where nobody knows whether it is registered. */
  add(view: string, status: CountedStatus): void {
    const counts = this.#counts.get(view) ?? new Map<CountedStatus, number>()
    counts.set(status, (counts.get(status) ?? 0) + 1)
    this.#counts.set(view, counts)
  }

  /** The text format of Prometheus. `registered` are all views that are known to be registered. */
  text(registered: readonly string[]): string {
    const lines = [
      `# HELP ${NAME} Refreshes of this process by view and result: ${STATUSES.slice(0, -1).join(', ')} or ${STATUSES.at(-1)}.`,
      `# TYPE ${NAME} counter`,
    ]
    for (const view of new Set([...this.#counts.keys(), ...registered])) {
      const counts = this.#counts.get(view)
      const label = `${NAME}{view="${labelValue(view)}",status="`
      lines.push(STATUSES.map((status) => `${label}${status}"} ${counts?.get(status) ?? 0}`).join('\n'))
    }
    return `${lines.join('\n')}\n`
  }
}
