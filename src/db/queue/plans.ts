import type {Session} from '../session.ts'

/**
 * For a session that runs only the small statements of a worker: plans are kept, since planning a claim takes
 * twice as long as the claim, and read in the order of an index. A plan that was made while a table was small
 * would later read the whole table, or with a bitmap all that is due.
 */
export async function planByIndex(session: Session): Promise<void> {
  await session.query(
    'set enable_seqscan = off; set enable_bitmapscan = off; set plan_cache_mode = force_generic_plan',
  )
}

/** Has the server make the plans of the statements that it keeps anew: the tables may have grown since. */
export async function planAnew(session: Session): Promise<void> {
  await session.query('discard plans')
}
