// What a user of either job queue writes to have of its refreshes what ayb has of its own: one refresh of a view at
// once, and the history and the status in the transaction of the REFRESH.
import {readFileSync} from 'node:fs'
import {pool, settings} from '../peers/drain.mjs'

// A backend whose client has died ends within a second, and its locks with it; this is for all sessions of the process.
process.env.PGOPTIONS = '-c client_connection_check_interval=1s'

await pool.query(readFileSync(new URL('same-work.sql', import.meta.url), 'utf8'))

/** @throws Error where the view cannot be refreshed, or another session refreshes it: the queue tries again later */
export async function refreshView(view, jobId) {
  const began = new Date()
  const isRefreshed = await callRefresh(view, jobId).catch(async (error) => {
    await pool.query('select record_failure($1, $2, $3, $4)', [view, jobId, began, error.message])
    throw error
  })
  if (!isRefreshed) throw new Error(`another session refreshes ${view}`)
}

async function callRefresh(view, jobId) {
  const {rows} = await pool.query({
    name: 'refresh',
    text: 'select refresh_view($1, $2, $3) as is_refreshed',
    values: [view, jobId, settings.isConcurrent],
  })
  return rows[0].is_refreshed
}
