import {qualifiedName, shellWord} from '../lib/identifier.ts'
import {printable} from '../lib/printable.ts'
import type {ViewName} from '../lib/records/values.ts'
import type {Repair} from '../lib/repairs.ts'

const view = (name: ViewName): string => shellWord(qualifiedName(name))

/** The command, to be pasted into a shell; null where a terminal would not show it as it is. */
export function repairCommand(repair: Repair | null): string | null {
  if (repair === null) return null
  const command = `ayb ${wordRepair(repair)}`
  return printable(command) === command ? command : null
}

function wordRepair(repair: Repair): string {
  switch (repair.kind) {
    case 'refresh':
      return `matviews refresh ${view(repair.view)}${repair.mode === null ? '' : ` --mode ${repair.mode}`}`
    case 'set-mode':
      return `matviews update ${view(repair.view)} --mode ${repair.mode}`
    case 'unregister':
      return `matviews unregister ${view(repair.view)}`
    case 'relink':
      return `matviews relink ${view(repair.renamed.from)} ${view(repair.renamed.to)}`
    case 'cascade-schedule':
      return `schedules update ${shellWord(repair.schedule)} --cascade`
    case 'retime-schedule':
      return `schedules update ${shellWord(repair.schedule)} --cron … --timezone …`
    case 'enable-schedule':
      return `schedules enable ${shellWord(repair.schedule)}`
    case 'disable-schedule':
      return `schedules disable ${shellWord(repair.schedule)}`
    case 'tune':
      return `matviews tune ${view(repair.view)}`
    case 'show-history':
      return `matviews history ${view(repair.view)}`
    case 'start-worker':
      return 'worker'
  }
}
