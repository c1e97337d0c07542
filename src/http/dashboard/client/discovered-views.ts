import type {View} from '../../../lib/records/views.ts'
import type {Api, Items} from './api.ts'
import {usePoll} from './poll.ts'

export const NO_VIEWS =
  'The database has no materialized views. Views that you create with CREATE MATERIALIZED VIEW appear here.'

/**
 * All materialized views of the database, registered or not. Polls, so that new views and indexes appear at
 * once.
 */
export const useDiscoveredViews = (api: Api) =>
  usePoll((signal) => api.get<Items<View>>('matviews/discover', signal))
