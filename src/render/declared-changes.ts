import {printable} from '../lib/printable.ts'
import type {DeclaredChange} from '../lib/records/declarations.ts'
import type {Style, Terminal} from './terminal.ts'

const SIGNS: Record<DeclaredChange['action'], {sign: string; style: Style}> = {
  create: {sign: '+', style: 'green'},
  update: {sign: '~', style: 'yellow'},
  delete: {sign: '-', style: 'red'},
}

/** A line a change: `~ public.leaderboard: mode standard → concurrent`. */
export const renderChanges = (changes: readonly DeclaredChange[], {style}: Terminal): string =>
  changes
    .map((change) => {
      const {sign, style: color} = SIGNS[change.action]
      return style[color](`${sign} ${describeChange(change)}`)
    })
    .join('\n')

function describeChange({action, kind, name, fields}: DeclaredChange): string {
  const subject = printable(kind === 'schedule' ? `schedule ${name}` : name)
  const texts = fields.map(({field, from, to}) => {
    if (action === 'update') return `${field} ${valueText(from)} → ${valueText(to)}`
    return `${field} ${valueText(action === 'create' ? to : from)}`
  })
  return texts.length === 0 ? subject : `${subject}: ${printable(texts.join(', '))}`
}

function valueText(value: unknown): string {
  if (value === null) return 'none'
  if (typeof value !== 'object') return String(value)
  if (Array.isArray(value)) return value.join(', ')
  return Object.entries(value)
    .map(([name, each]) => `${name}=${each}`)
    .join(' ')
}

/** `1 to create, 2 to update`; empty for none. */
export function countChanges(changes: readonly DeclaredChange[]): string {
  const actions: DeclaredChange['action'][] = ['create', 'update', 'delete']
  return actions
    .map((action) => ({action, count: changes.filter((change) => change.action === action).length}))
    .filter(({count}) => count > 0)
    .map(({action, count}) => `${count} to ${action}`)
    .join(', ')
}
