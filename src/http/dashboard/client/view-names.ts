import {useEffect, useState} from 'preact/hooks'
import type {ViewNames} from '../../../lib/records/views.ts'
import type {Api} from './api.ts'
import {usePoll} from './poll.ts'

export const NO_VIEWS =
  'The database has no materialized views. Views that you create with CREATE MATERIALIZED VIEW appear here.'

/** A list of thousands holds the page up, and nobody reads it. */
export const MOST_NAMES = 200

/**
 * The names of the materialized views of the database that have a part of what is searched. Polls, so that
 * new views appear at once.
 */
export function useViewNames(api: Api, filter: {registered?: false} = {}) {
  const [search, setSearch] = useState('')
  const query = new URLSearchParams({...(filter.registered === false && {registered: 'false'}), search})
  const path = `matviews/discover/names?${query}&limit=${MOST_NAMES}`
  const {data, error} = usePoll((signal) => api.get<ViewNames>(path, signal), path)
  // What was found stays until something else is found.
  const [last, setLast] = useState<ViewNames>()
  useEffect(() => {
    if (data) setLast(data)
  }, [data])
  return {names: data ?? last, error, setSearch}
}
