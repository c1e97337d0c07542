import {formatDuration} from '../lib/duration.ts'
import type {TuneCandidate, Tuning} from '../lib/records/tuning.ts'
import {formatBytes} from './size.ts'
import {type Column, renderTable} from './table.ts'
import type {Terminal} from './terminal.ts'
import {wrapWords} from './width.ts'

/** The ways that were tried, and which one is fastest. */
export function renderTuning({candidates, winner, applied}: Tuning, terminal: Terminal): string {
  const columns: Column<TuneCandidate>[] = [
    {header: 'MODE', value: ({mode}) => mode, priority: 9, isKey: true},
    {header: 'SETTINGS', value: settingsOf, priority: 8, isKey: true, minWidth: 16},
    {header: 'ROUNDS', value: ({rounds}) => rounds, align: 'right', priority: 3},
    {
      header: 'MEDIAN',
      value: ({medianMs}) => medianMs,
      display: time('medianMs'),
      align: 'right',
      priority: 7,
    },
    {
      header: 'SPREAD',
      value: ({spreadMs}) => spreadMs,
      display: time('spreadMs'),
      align: 'right',
      priority: 6,
    },
    {header: 'WAL', value: ({walBytes}) => walBytes, display: size('walBytes'), align: 'right', priority: 5},
    {
      header: 'TEMPORARY',
      value: ({tempBytes}) => tempBytes,
      display: size('tempBytes'),
      align: 'right',
      priority: 4,
    },
    {header: 'STATUS', value: ({status}) => status, priority: 2},
    {header: 'ERROR', value: ({error}) => error?.message ?? null, priority: 1, omitWhenEmpty: true},
  ]
  const table = renderTable(candidates, columns, terminal)
  return terminal.isTerminal
    ? `${table}\n${wrapWords(verdict({candidates, winner, applied}), terminal.columns)}`
    : table
}

/** What the figures say, in a sentence. */
export function verdict({candidates, winner, applied}: Pick<Tuning, 'candidates' | 'winner' | 'applied'>) {
  const [now] = candidates
  const best = winner === null ? null : candidates[winner]
  if (!best || !now) return 'No difference that I can tell: the times of the candidates overlap.'
  if (winner === 0) return 'As it is now is fastest.'
  const what = `${best.mode} mode${settingsOf(best) === '' ? '' : ` with ${settingsOf(best)}`}`
  const times = `${formatDuration(best.medianMs ?? 0)} instead of ${formatDuration(now.medianMs ?? 0)}`
  return `Fastest is ${what}: ${times}.${applied ? ' The view is refreshed like that from now on.' : ''}`
}

export const settingsOf = ({settings}: Pick<TuneCandidate, 'settings'>): string =>
  Object.entries(settings)
    .map(([name, value]) => `${name}=${value}`)
    .join(' ')

const time = (key: 'medianMs' | 'spreadMs') => (candidate: TuneCandidate) =>
  candidate[key] === null ? null : formatDuration(candidate[key])

const size = (key: 'walBytes' | 'tempBytes') => (candidate: TuneCandidate) =>
  candidate[key] === null ? null : formatBytes(candidate[key])
