import {writtenDuration} from '../lib/duration.ts'
import {qualifiedName, shellWord} from '../lib/identifier.ts'
import type {RenamedView} from '../lib/records/registrations.ts'
import type {ViewName} from '../lib/records/values.ts'
import type {Remedy} from '../lib/remedies.ts'
import {wordings} from '../lib/unworded.ts'

/** Words for somebody at a command line: a hint that is a command can be pasted. */
export const {
  hint: commandLineHint,
  warning: commandLineWarning,
  document: commandLineDocument,
  view: commandLineView,
} = wordings(wordRemedy)

const viewWord = (view: ViewName): string => shellWord(qualifiedName(view))

const relinkCommand = ({from, to}: RenamedView): string =>
  `ayb matviews relink ${viewWord(from)} ${viewWord(to)}`

function wordRemedy(remedy: Remedy): string {
  switch (remedy.kind) {
    case 'list-registrations':
      return 'ayb matviews list'
    case 'discover-views':
      return 'list the materialized views with: ayb matviews discover'
    case 'list-schedules':
      return 'list the schedules with: ayb schedules list'
    case 'list-jobs':
      return 'list the jobs with: ayb jobs list'
    case 'show-job':
      return `ayb jobs show ${remedy.jobId}`
    case 'register-view':
      return `ayb matviews register ${viewWord(remedy.view)}`
    case 'change-mode':
      return `pass --if-not-exists to accept that; to change the mode: ayb matviews update ${viewWord(remedy.view)} --mode ${remedy.mode}`
    case 'unregister-view':
      return `to give the name to another registration, first run: ayb matviews unregister ${viewWord(remedy.view)}`
    case 'relink-view':
      return relinkCommand(remedy.renamed)
    case 'follow-rename':
      return `to move the registration to the new name: ${relinkCommand(remedy.renamed)}`
    case 'set-mode':
      return `ayb matviews update ${remedy.id ?? 'VIEW'} --mode ${remedy.mode}`
    case 'populate-view':
      return `ayb matviews refresh ${viewWord(remedy.view)} --mode standard`
    case 'refresh-view':
      return `ayb matviews refresh ${viewWord(remedy.view)}`
    case 'refresh-with-dependencies': {
      const register =
        remedy.unregistered === null ? '' : `ayb matviews register ${viewWord(remedy.unregistered)} && `
      return `to refresh the view after the views that it reads: ${register}ayb matviews refresh ${viewWord(remedy.view)} --with-dependencies`
    }
    case 'name-views-between':
      return 'to refresh the views in between as well, name them, or pass --cascade or --with-dependencies'
    case 'register-all':
      return 'to register all views: ayb matviews register --all'
    case 'rename-schedule':
      return `choose another name, or change that schedule with: ayb schedules update ${shellWord(remedy.takenName)}; a schedule of another program, which is not shown, can also have the name`
    case 'retime-schedule':
      return `ayb schedules update ${shellWord(remedy.name)} --cron … --timezone …`
    case 'keep-promise': {
      const {view, maxAgeMs, schedule} = remedy
      const age = writtenDuration(maxAgeMs)
      return schedule === null
        ? `ayb schedules create --name ${shellWord(view.viewName)} --max-age ${age} --view ${viewWord(view)}`
        : `ayb schedules update ${shellWord(schedule)} --max-age ${age}`
    }
    case 'enable-schedule':
      return `ayb schedules enable ${shellWord(remedy.name)}`
    case 'disable-schedule':
      return `ayb schedules disable ${shellWord(remedy.name)}`
    case 'cancel-job':
      return `ayb jobs cancel ${remedy.jobId}`
    case 'start-worker':
      return 'start a worker with: ayb worker'
    case 'wait-for-refresh':
      return 'try again when that refresh has ended, or pass --wait'
    case 'extend-wait':
      return 'wait longer with --wait-timeout'
    case 'extend-statement-timeout':
      return 'allow more time with --timeout; to see which session blocks the refresh, pass --lock-timeout too'
    case 'extend-lock-timeout':
      return remedy.isOnView
        ? 'wait longer with --lock-timeout or --lock-retry-for, or refresh in concurrent mode, which does not wait for readers'
        : 'refresh again when the lock is free; --lock-timeout 5m waits longer, but makes readers of the view wait as well'
    case 'upgrade-tables':
      return 'stop older workers, then run: ayb migrate'
    case 'create-tables':
      return 'run `ayb migrate` once as a role that may create them, or give a DBA the output of `ayb migrate --dry-run`'
    case 'complete-tables':
      return 'to mend that, run `ayb migrate` as the owner of the tables, or give a DBA the output of `ayb migrate --dry-run`'
    case 'trust-role':
      return `if you trust that role: export AYB_TRUSTED_OWNER=${shellWord(remedy.role)}`
    case 'name-server':
      return 'name another server with --database-url, DATABASE_URL or PGHOST'
    case 'check-service':
      return 'check --service, PGSERVICE or service=, and the [names] in ~/.pg_service.conf'
    case 'listen-elsewhere':
      return 'choose another address with --listen'
    case 'quote-name':
      return `a name without quotes has only letters, digits, _ and $; put any other name in double quotes, and in single quotes for the shell: '${remedy.example}'`
    case 'write-payload':
      return `for example: --payload '{"schema": "public", "view_name": "leaderboard"}'`
    case 'name-view-once':
      return 'pass --view or --payload, not both'
    case 'leave-timing':
      return `pass ${remedy.part === 'jitter' ? '--jitter none' : '--catch-up latest'}, or --cron in place of --max-age`
    case 'report-bug':
      return 'this is a bug in ayb: please report it with the output of the same command under DEBUG=ayb*'
  }
}
