import type {NoticeDelivery} from '../lib/records/notices.ts'
import {type Column, renderTable} from './table.ts'
import type {Terminal} from './terminal.ts'

/** How each target took a notice. */
export function renderDeliveries(deliveries: readonly NoticeDelivery[], terminal: Terminal): string {
  const columns: Column<NoticeDelivery>[] = [
    {header: 'TARGET', value: ({target}) => target, priority: 9, isKey: true},
    {
      header: 'RESULT',
      value: ({ok}) => (ok ? 'sent' : 'failed'),
      style: (_text, {ok}) => (ok ? 'green' : 'red'),
      priority: 8,
    },
    {header: 'STATUS', value: ({status}) => status, align: 'right', priority: 6},
    {header: 'MS', value: ({durationMs}) => durationMs, align: 'right', priority: 5},
    {header: 'ERROR', value: ({error}) => error, priority: 7, omitWhenEmpty: true},
  ]
  return renderTable(deliveries, columns, terminal)
}
