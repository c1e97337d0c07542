import {formatDuration} from '../../lib/duration.ts'
import {bounded} from '../../lib/outside-text.ts'
import {printable} from '../../lib/printable.ts'
import type {Notice, NoticeData} from '../../lib/records/notices.ts'

const HEADS: Record<Notice['type'], string> = {
  'view.failing': 'FAILING',
  'view.stale': 'STALE',
  'view.overdue': 'OVERDUE',
  'view.recovered': 'RECOVERED',
  'notify.test': 'TEST',
}

/** The body for a chat that takes messages as Slack does. */
export const chatBody = (notice: Notice): string =>
  // Without mrkdwn, a name with underscores or stars stays as it is.
  JSON.stringify({text: escaped(chatText(notice)), mrkdwn: false})

/** Slack reads commands such as <!channel> in angle brackets, and entities. */
const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')

function chatText({type, data}: Notice): string {
  if (type === 'notify.test') return 'TEST: a message of `ayb notify test`; all is well'
  const name = `${data.schemaName}.${data.viewName}`
  const lines = [
    `${HEADS[type]}: ${name} in database ${data.database} at ${data.host}`,
    whatHappened(type, data),
    data.error && `Error: ${data.error.message}`,
    data.schedule && `Schedule: ${data.schedule}`,
  ]
  // Text from a database must not reorder or hide what comes behind.
  return bounded(
    lines.flatMap((line) => (line ? [printable(line.replace(/[\t\n\r]+/g, ' '))] : [])).join('\n'),
  )
}

function whatHappened(type: Notice['type'], data: NoticeData): string {
  const {consecutiveFailures: failures, maxAgeMs, since, lastSuccessAt, previousState} = data
  const last = lastSuccessAt === null ? 'never refreshed before' : `last refreshed at ${lastSuccessAt}`
  const from = since === null ? '' : ` since ${since}`
  switch (type) {
    case 'view.failing':
      return failures > 1
        ? `The last ${failures} refreshes failed${from}, ${last}`
        : `The last refresh failed, ${last}`
    case 'view.stale':
      return maxAgeMs === null
        ? `The view reads a view with newer data${from}, ${last}`
        : `The data is older than ${formatDuration(maxAgeMs)}${from}, ${last}`
    case 'view.overdue':
      return `A refresh was due${since === null ? '' : ` at ${since}`} and has not started, ${last}`
    default:
      return `The view was ${previousState}, and was refreshed at ${lastSuccessAt}`
  }
}
