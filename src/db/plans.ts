import type {Session} from './session.ts'

/**
 * For a session that runs but our own small statements: plans made once, and by index. A plan that was made while a
 * table was small would read the whole of it later, and planning a claim takes twice as long as the claim.
 */
export async function planByIndex(session: Session): Promise<void> {
  await session.query('set enable_seqscan = off; set plan_cache_mode = force_generic_plan')
}
