import type {Database} from '../../db/database.ts'
import {readDependencies} from '../../db/dependencies.ts'
import * as doctor from '../../db/doctor.ts'
import {suggestUniqueIndexes} from '../../db/index-suggestion.ts'
import {listRegistrations} from '../../db/registrations.ts'
import {findSchedules} from '../../db/schedules.ts'
import {findRenamedViews} from '../../db/states/renamed.ts'
import {doubtfulViews, findMissingPrivileges} from '../../db/view-privileges.ts'
import type {MissingPrivilege} from '../../lib/failures/refreshes.ts'
import {untangle} from '../../lib/graph.ts'
import {qualifiedName} from '../../lib/identifier.ts'
import {viewOfPayload} from '../../lib/payload.ts'
import type {Registration} from '../../lib/records/registrations.ts'
import type {ViewName} from '../../lib/records/values.ts'
import {requestedMode} from '../refresh/mode.ts'
import {workersAlive} from '../workers.ts'
import type {Facts, ViewFacts} from './check.ts'
import {namesWithoutSchema} from './views/names-in-functions.ts'

/** Reads all that the checks look at, for all views at once. */
export async function readFacts(db: Database): Promise<Facts> {
  const hasTables = db.has('registrations')
  const schedules = await findSchedules(db)
  const scheduled = schedules.map(({payload}) => viewOfPayload(payload)).filter((view) => view !== null)
  const dependencies = await readDependencies(db)
  const existing = new Set(dependencies.nodes.map(qualifiedName))
  return {
    now: await db.session.serverTime(),
    serverVersion: db.session.serverVersion,
    ...(await doctor.readServer(db)),
    workers: (await workersAlive(db)).alive,
    views: hasTables ? await readViews(db) : new Map(),
    schedules,
    missing: new Set(scheduled.map(qualifiedName).filter((name) => !existing.has(name))),
    renamed: await findRenamedViews(db),
    functions: hasTables ? await readFunctions(db) : [],
    collisions: hasTables ? await doctor.findLockCollisions(db) : [],
    temporaryFiles: hasTables ? await doctor.readTemporaryFiles(db) : [],
    edges: dependencies.edges,
    cycles: untangle(dependencies.edges).cycles,
    opaque: dependencies.opaque,
  }
}

async function readViews(db: Database): Promise<Map<string, ViewFacts>> {
  const registrations = await listRegistrations(db, null)
  const shapes = byName(await doctor.readShapes(db))
  const statistics = byName(await doctor.readStatistics(db))
  const runs = byName(await doctor.readPastRuns(db))
  // To suggest an index takes a while, and most views in standard mode need none.
  const lacking = registrations.flatMap((registration) => {
    const shape = shapes.get(qualifiedName(registration))
    if (!shape || shape.indexes.some(({isUsable}) => isUsable)) return []
    const waited = runs.get(qualifiedName(registration))?.runs.some(({lockWaitMs}) => (lockWaitMs ?? 0) > 0)
    return waited || requestedMode(registration, null) !== 'standard' ? [shape] : []
  })
  const statements = await suggestUniqueIndexes(db.session, lacking)
  const missing = await readMissingPrivileges(db, registrations, shapes)
  return new Map(
    registrations.map((registration) => {
      const {schemaName, viewName} = registration
      const name = qualifiedName(registration)
      const shape = shapes.get(name) ?? null
      return [
        name,
        {
          ...{schemaName, viewName, name, registration, shape},
          mode: requestedMode(registration, null),
          statistics: statistics.get(name) ?? null,
          missingPrivileges: (shape && missing.get(shape.oid)) ?? [],
          runs: runs.get(name)?.runs ?? [],
          indexStatement: (shape && statements.get(shape.oid)) ?? null,
        },
      ]
    }),
  )
}

/** By the OIDs of views. */
async function readMissingPrivileges(
  db: Database,
  registrations: readonly Registration[],
  shapes: ReadonlyMap<string, doctor.ViewShape>,
): Promise<Map<number, MissingPrivilege[]>> {
  const asked = registrations.flatMap((registration) => {
    const shape = shapes.get(qualifiedName(registration))
    if (!shape) return []
    const mayBeConcurrent = requestedMode(registration, null) !== 'standard'
    return {oid: shape.oid, isConcurrent: mayBeConcurrent && shape.indexes.some(({isUsable}) => isUsable)}
  })
  const missing = new Map<number, MissingPrivilege[]>()
  const doubtful = await doubtfulViews(db.session, asked)
  for (const each of await findMissingPrivileges(db.session, doubtful)) {
    missing.set(each.viewOid, [...(missing.get(each.viewOid) ?? []), each])
  }
  return missing
}

const byName = <T extends ViewName>(rows: readonly T[]): Map<string, T> =>
  new Map(rows.map((row) => [qualifiedName(row), row]))

/** The functions that views call, with the relations that they read without a schema. */
async function readFunctions(db: Database): Promise<Facts['functions']> {
  const called = await doctor.findCalledFunctions(db)
  const named = called.map((each) => ({...each, names: namesWithoutSchema(each.source)}))
  const schemas = await doctor.findRelationSchemas(db, [...new Set(named.flatMap(({names}) => names))])
  return named.map(({names, ...each}) => {
    const bareNames = names.filter((name) => schemas.has(name))
    return {...each, bareNames, schemas: [...new Set(bareNames.map((name) => schemas.get(name) ?? ''))]}
  })
}
