import {qualifiedName} from '../lib/identifier.ts'
import {printable} from '../lib/printable.ts'
import type {View} from '../lib/records/views.ts'
import {formatBytes} from './size.ts'
import {yesOrNo} from './status.ts'
import {type Column, renderTable} from './table.ts'
import type {RenderContext, Terminal} from './terminal.ts'
import {wrapWords} from './width.ts'

const COLUMNS: Column<View>[] = [
  {header: 'VIEW', value: qualifiedName, priority: 9, isKey: true, minWidth: 20, cut: 'middle'},
  {header: 'OWNER', value: (view) => view.owner, priority: 3, minWidth: 10},
  {
    header: 'POPULATED',
    value: (view) => view.populated,
    display: (view) => yesOrNo(view.populated),
    priority: 4,
  },
  {
    header: 'SIZE',
    value: (view) => view.sizeBytes,
    display: (view) => (view.sizeBytes === null ? null : formatBytes(view.sizeBytes)),
    align: 'right',
    priority: 6,
  },
  {
    header: 'REGISTERED',
    value: (view) => view.registered,
    display: (view) => yesOrNo(view.registered),
    priority: 8,
  },
  {
    header: 'CONCURRENT',
    value: concurrentState,
    style: (_, view) => (view.concurrentReady ? 'green' : 'yellow'),
    priority: 7,
    minWidth: 21,
  },
  {
    header: 'ALWAYS REFRESHED',
    value: alwaysRefreshed,
    display: (view) => alwaysRefreshed(view) ?? '',
    priority: 2,
    minWidth: 24,
    omitWhenEmpty: true,
  },
]

/**
 * The materialized views of a database. On a terminal, a line follows about views that cannot be refreshed
 * concurrently, or, with hints, what each of them lacks.
 */
export function renderViews(
  views: readonly View[],
  {terminal}: RenderContext,
  {hasHints = false} = {},
): string {
  if (views.length === 0 && terminal.isTerminal) {
    return 'This database has no materialized views. Make one with: CREATE MATERIALIZED VIEW … AS SELECT …'
  }
  const table = renderTable(views, COLUMNS, terminal)
  const unready = views.filter((view) => view.concurrentBlockers.length > 0)
  if (!terminal.isTerminal || unready.length === 0) return table
  if (!hasHints) {
    const count = `${unready.length} of ${views.length} view${views.length === 1 ? '' : 's'}`
    return `${table}\n\n${count} cannot be refreshed concurrently yet.\nTo see why: ayb matviews discover --hints`
  }
  const title = terminal.style.bold('Before they can be refreshed concurrently:')
  return [table, '', title, ...unready.flatMap((view) => blockerLines(view, terminal))].join('\n')
}

/** Whether a view can be refreshed concurrently: `ready`, or the codes of what is missing. */
export function concurrentState(view: View): string {
  return view.concurrentReady ? 'ready' : view.concurrentBlockers.map(({code}) => code).join(',')
}

/** Why a view is always refreshed; null where it can be skipped while nothing has changed. */
export function alwaysRefreshed({skippable, skipBlockers}: View): string | null {
  return skippable ? null : skipBlockers.map(({message}) => message).join('; ')
}

/** Hints are on lines of their own, of any length, so that they can be pasted. */
export function blockerLines(view: View, {columns}: Terminal): string[] {
  return view.concurrentBlockers.flatMap(({message, hint}) => [
    wrapWords(printable(message), columns),
    `  ${printable(hint)}`,
  ])
}
