import type {TestDatabase} from './database.ts'
import {register} from './refresh.ts'

/** Views of schema public that read each other. */
export interface ViewSet {
  /** The number that each view holds: it is that of the table below at its last refresh. */
  values(): Promise<Record<string, number | null>>
  /** Changes the table below all views. */
  change(): Promise<number>
  /** From now on each refresh of the view fails. */
  breakView(view: string): Promise<void>
  mendViews(): Promise<void>
}

interface SetOptions {
  /** Not registered. */
  unregistered?: readonly string[]
  /** How long each refresh takes. */
  sleepMs?: number
  isPopulated?: boolean
}

/**
 * Makes and registers views after `a > b > c`: b reads a, c reads b. Views at the start of a path read a
 * table of one number. Each holds the least number of what it reads, so that a view that was refreshed too
 * early shows.
 */
export async function createViewSet(
  db: TestDatabase,
  paths: readonly string[],
  {unregistered = [], sleepMs = 0, isPopulated = true}: SetOptions = {},
): Promise<ViewSet> {
  const parents = new Map<string, Set<string>>()
  for (const path of paths) {
    let parent: string | null = null
    for (const view of path.split(' > ')) {
      const known = parents.get(view) ?? new Set()
      if (parent !== null) known.add(parent)
      parents.set(view, known)
      parent = view
    }
  }
  const views = [...parents.keys()]
  await db.query('create table numbers as select 1 as number')
  await db.query('create table broken (view text)')
  const created = new Set<string>()
  const create = async (view: string): Promise<void> => {
    if (created.has(view)) return
    created.add(view)
    const below = [...(parents.get(view) ?? [])]
    for (const parent of below) await create(parent)
    const from = below.length === 0 ? ['numbers'] : below
    const read = from.map((relation) => `select number from ${relation}`).join(' union all ')
    await db.query(
      `create materialized view ${view} as
       select min(number) / (select case count(*) when 0 then 1 else 0 end from broken where view = '${view}') as number,
              pg_sleep(${sleepMs / 1000})::text as slept
         from (${read}) below
         with no data`,
    )
    if (isPopulated) await db.query(`refresh materialized view ${view}`)
    if (!unregistered.includes(view)) await register(db, view)
  }
  for (const view of views) await create(view)
  return {
    async values() {
      const values: Record<string, number | null> = {}
      for (const view of views) {
        const [row] = await db.query<{number: number}>(`select number from ${view}`)
        values[view] = row?.number ?? null
      }
      return values
    },
    async change() {
      const [row] = await db.query<{number: number}>(
        'update numbers set number = number + 1 returning number',
      )
      return (row as {number: number}).number
    },
    async breakView(view) {
      await db.query('insert into broken values ($1)', [view])
    },
    async mendViews() {
      await db.query('delete from broken')
    },
  }
}
