import {qualifiedName, quoteIfNeeded, quoteViewName} from '../../lib/identifier.ts'
import type {RenamedView} from '../../lib/records/registrations.ts'
import type {ViewName} from '../../lib/records/values.ts'
import type {Remedy} from '../../lib/remedies.ts'
import type {Repair} from '../../lib/repairs.ts'
import {wordings} from '../../lib/unworded.ts'

/** Words for readers of the API and of the dashboard, who have routes and SQL, and no command line. */
export const {hint: apiHint, warning: apiWarning, document: apiDocument, view: apiView} = wordings(wordRemedy)

const MATVIEWS = '/api/admin/matviews'

const viewPath = (view: ViewName): string => `${MATVIEWS}/${encodeURIComponent(qualifiedName(view))}`

const schedulePath = (name: string): string => `/api/admin/schedules/${encodeURIComponent(name)}`

function nameBody({schemaName, viewName}: ViewName): string {
  const [view, schema] = [viewName, schemaName].map((name) => JSON.stringify(quoteIfNeeded(name)))
  return `{"viewName": ${view}, "schema": ${schema}}`
}

const registerRequest = (view: ViewName): string => `POST ${MATVIEWS} with ${nameBody(view)}`

const relinkRequest = ({from, to}: RenamedView): string =>
  `POST ${viewPath(from)}/relink with ${nameBody(to)}`

/** What mends a finding, as a request; null where nothing does. */
export function repairRequest(repair: Repair | null): string | null {
  if (repair === null) return null
  switch (repair.kind) {
    case 'refresh':
      return `POST ${viewPath(repair.view)}/refresh${repair.mode === null ? '' : `?mode=${repair.mode}`}`
    case 'set-mode':
      return `PUT ${viewPath(repair.view)} with {"refreshMode": "${repair.mode}"}`
    case 'unregister':
      return `DELETE ${viewPath(repair.view)}`
    case 'relink':
      return relinkRequest(repair.renamed)
    case 'cascade-schedule':
      return `PUT ${schedulePath(repair.schedule)} with "scope": "cascade" in its payload`
    case 'retime-schedule':
      return `PUT ${schedulePath(repair.schedule)} with {"cronExpr": …}`
    case 'enable-schedule':
      return `POST ${schedulePath(repair.schedule)}/enable`
    case 'disable-schedule':
      return `POST ${schedulePath(repair.schedule)}/disable`
    case 'show-history':
      return `GET ${viewPath(repair.view)}/history`
    case 'tune':
      return `POST ${viewPath(repair.view)}/tune`
    // There is a command for this, and no route.
    case 'start-worker':
      return null
  }
}

function wordRemedy(remedy: Remedy): string {
  switch (remedy.kind) {
    case 'list-registrations':
      return `GET ${MATVIEWS} lists the registrations`
    case 'discover-views':
      return `GET ${MATVIEWS}/discover lists the materialized views`
    case 'list-schedules':
      return 'GET /api/admin/schedules lists the schedules'
    case 'list-jobs':
      return 'GET /api/admin/jobs lists the jobs'
    case 'show-job':
      return `GET /api/admin/jobs/${remedy.jobId} shows the job`
    case 'register-view':
      return `register the view: ${registerRequest(remedy.view)}`
    case 'change-mode':
      return `to change the mode: PUT ${viewPath(remedy.view)} with {"refreshMode": "${remedy.mode}"}`
    case 'unregister-view':
      return `to make the name free: DELETE ${viewPath(remedy.view)}`
    case 'relink-view':
    case 'follow-rename':
      return `to move the registration to the new name with its schedules and its history: ${relinkRequest(remedy.renamed)}`
    case 'set-mode':
      return `PUT ${MATVIEWS}/${remedy.id ?? '{id}'} with {"refreshMode": "${remedy.mode}"}`
    case 'populate-view':
      return `REFRESH MATERIALIZED VIEW ${quoteViewName(remedy.view)};`
    case 'refresh-view':
      return `refresh the view: POST ${viewPath(remedy.view)}/refresh`
    case 'refresh-with-dependencies':
      return `first refresh the views that it reads, then the view: POST ${viewPath(remedy.view)}/refresh?withDependencies=true`
    case 'name-views-between':
      return 'to refresh the views in between as well, name them'
    case 'register-all':
      return `POST ${MATVIEWS}/register-all registers all`
    case 'rename-schedule':
      return `choose another name, or change that schedule: PUT ${schedulePath(remedy.takenName)}; a schedule of another program, which is not shown, can also have the name`
    case 'retime-schedule':
      return `PUT ${schedulePath(remedy.name)} with {"cronExpr": …, "timezone": …}`
    case 'keep-promise':
      return 'POST /api/admin/schedules with a "cronExpr" that comes up often enough'
    case 'enable-schedule':
      return `PUT ${schedulePath(remedy.name)} with {"enabled": true}`
    case 'disable-schedule':
      return `PUT ${schedulePath(remedy.name)} with {"enabled": false}`
    case 'cancel-job':
      return `POST /api/admin/jobs/${remedy.jobId}/cancel`
    case 'start-worker':
      return 'start a worker, on any machine'
    case 'wait-for-refresh':
    case 'extend-wait':
      return 'try again when that refresh has ended'
    case 'extend-statement-timeout':
      return 'try again when the database is less busy'
    case 'extend-lock-timeout':
      return remedy.isOnView
        ? `try again when the lock is free; a refresh in concurrent mode does not wait for readers: PUT ${viewPath(remedy.view)} with {"refreshMode": "concurrent"}`
        : 'try again when the lock is free'
    case 'upgrade-tables':
      return 'stop older workers, then have the tables upgraded from a command line'
    case 'create-tables':
      return 'have the tables created once, from a command line, by a role that may create them'
    case 'complete-tables':
      return 'to mend that, have the tables upgraded from a command line by their owner'
    case 'trust-role':
      return `if you trust that role, start the server with ${JSON.stringify(remedy.role)} as AYB_TRUSTED_OWNER`
    case 'name-server':
      return 'the environment in which the server was started says where it connects, for example in DATABASE_URL'
    case 'check-service':
      return 'check which service the server was started with, and the [names] in its ~/.pg_service.conf'
    case 'listen-elsewhere':
      return 'have the server listen at another address'
    case 'quote-name':
      return `a name without quotes has only letters, digits, _ and $; put any other name in double quotes: ${remedy.example}`
    case 'write-payload':
      return 'for example: {"payload": {"schema": "public", "view_name": "leaderboard"}}'
    case 'name-view-once':
      return 'name the view once'
    case 'leave-timing':
      return `send ${remedy.part === 'jitter' ? '"jitterMs": null' : '"catchUp": "latest"'}, or "cronExpr" in place of "maxAgeMs"`
    case 'report-bug':
      return 'this is a bug in ayb: please report it with what the log of the server says'
  }
}
