import type {Session} from '../session.ts'

/**
 * For a session that runs only the small statements of a worker. Plans are kept, since planning a claim takes
 * twice as long as the claim, and must use an index in its order: a plan that was made while a table was
 * small would later read the whole table, or, with a bitmap, all due rows.
 */
export async function planByIndex(session: Session): Promise<void> {
  await session.query(
    'set enable_seqscan = off; set enable_bitmapscan = off; set plan_cache_mode = force_generic_plan',
  )
}

/** Has the server plan all kept statements again, since the tables may have grown. */
export async function planAnew(session: Session): Promise<void> {
  await session.query('discard plans')
}
