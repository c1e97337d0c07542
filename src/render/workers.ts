import {qualifiedName} from '../lib/identifier.ts'
import type {LiveWorker} from '../lib/records/workers.ts'
import {type Column, renderTable} from './table.ts'
import type {RenderContext} from './terminal.ts'
import {formatRelative} from './time.ts'

/** The workers that are alive. */
export function renderWorkers(workers: readonly LiveWorker[], {terminal, now}: RenderContext): string {
  if (workers.length === 0 && terminal.isTerminal) {
    return 'No worker is alive. Start one with: ayb worker'
  }
  const columns: Column<LiveWorker>[] = [
    {header: 'HOST', value: ({host}) => host, priority: 9, isKey: true, minWidth: 16, cut: 'middle'},
    {header: 'PID', value: ({pid}) => pid, align: 'right', priority: 8, isKey: true},
    {header: 'VERSION', value: ({version}) => version, priority: 4},
    {
      header: 'STARTED',
      value: ({startedAt}) => startedAt,
      display: ({startedAt}) => formatRelative(startedAt, now),
      priority: 6,
    },
    {
      header: 'LAST SEEN',
      value: ({lastSeenAt}) => lastSeenAt,
      display: ({lastSeenAt}) => formatRelative(lastSeenAt, now),
      priority: 5,
    },
    {header: 'BUSY', value: ({busy, slots}) => `${busy}/${slots}`, align: 'right', priority: 7},
    {
      header: 'REFRESHES',
      value: ({refreshes}) => refreshes.map(qualifiedName).join(', '),
      priority: 3,
      minWidth: 20,
      omitWhenEmpty: true,
    },
    {
      header: 'POOLED',
      value: ({pooled}) => (pooled ? 'pooled' : null),
      priority: 2,
      omitWhenEmpty: true,
    },
    {header: 'ID', value: ({id}) => id, style: () => 'dim', priority: 1},
  ]
  return renderTable(workers, columns, terminal)
}
