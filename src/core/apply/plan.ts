import type {Database} from '../../db/database.ts'
import {listRegistrations} from '../../db/registrations.ts'
import {findSchedules} from '../../db/schedules.ts'
import {qualifiedName} from '../../lib/identifier.ts'
import type {DeclaredChange} from '../../lib/records/declarations.ts'
import type {FoundRegistration} from '../../lib/records/registrations.ts'
import type {Schedule} from '../../lib/records/schedules.ts'
import type {RequestedMode} from '../../lib/records/values.ts'
import {requestedMode} from '../refresh/mode.ts'
import type {DeclaredFile} from './declarations.ts'
import {
  type DeclaredSchedule,
  SCHEDULE_KEYS,
  type ScheduleValues,
  storedValues,
  writtenSchedule,
  writtenScheduleValue,
} from './schedules.ts'
import {
  type DeclaredView,
  registeredValues,
  VIEW_KEYS,
  type ViewValues,
  writtenValue,
  writtenView,
} from './views.ts'

/** A view that the file describes differently than it is registered. */
interface ChangedView {
  view: DeclaredView
  registration: FoundRegistration
  keys: (keyof ViewValues)[]
}

interface ChangedSchedule {
  schedule: DeclaredSchedule
  before: Schedule
  keys: (keyof ScheduleValues)[]
}

/** What would make the database as the file describes it. */
export interface Plan {
  newViews: DeclaredView[]
  changedViews: ChangedView[]
  newSchedules: DeclaredSchedule[]
  changedSchedules: ChangedSchedule[]
  /**
   * The views that the file leaves out, except views that a schedule of the file refreshes: the next run would
   * register such a view again.
   */
  otherViews: FoundRegistration[]
  otherSchedules: Schedule[]
  /** Of the views that stay registered, by qualified names. */
  modes: Map<string, RequestedMode>
}

/** Compares a file with the database. */
export async function makePlan(db: Database, file: DeclaredFile): Promise<Plan> {
  const registrations = new Map(
    (await listRegistrations(db, null)).map((each) => [qualifiedName(each), each]),
  )
  const schedules = new Map((await findSchedules(db)).map((each) => [each.name, each]))
  const views = new Set(file.views.map(qualifiedName))
  const refreshed = new Set(file.schedules.map(({values}) => values.view))
  const names = new Set(file.schedules.map(({name}) => name))
  return {
    newViews: file.views.filter((view) => !registrations.has(qualifiedName(view))),
    changedViews: file.views.flatMap((view) => {
      const registration = registrations.get(qualifiedName(view))
      const keys = registration ? changedViewKeys(view, registration) : []
      return registration && keys.length > 0 ? [{view, registration, keys}] : []
    }),
    newSchedules: file.schedules.filter(({name}) => !schedules.has(name)),
    changedSchedules: file.schedules.flatMap((schedule) => {
      const before = schedules.get(schedule.name)
      const keys = before ? changedScheduleKeys(schedule, before) : []
      return before && keys.length > 0 ? [{schedule, before, keys}] : []
    }),
    otherViews: [...registrations]
      .filter(([name]) => !views.has(name) && !refreshed.has(name))
      .map(([, registration]) => registration),
    otherSchedules: [...schedules.values()].filter(({name}) => !names.has(name)),
    modes: new Map([
      ...[...registrations].map(([name, registration]) => [name, requestedMode(registration, null)] as const),
      ...file.views.map((view) => [qualifiedName(view), view.values.mode] as const),
    ]),
  }
}

function changedViewKeys({values}: DeclaredView, registration: FoundRegistration): (keyof ViewValues)[] {
  const stored = registeredValues(registration)
  return VIEW_KEYS.filter((key) => JSON.stringify(values[key]) !== JSON.stringify(stored[key]))
}

function changedScheduleKeys({values}: DeclaredSchedule, before: Schedule): (keyof ScheduleValues)[] {
  const stored = storedValues(before)
  return SCHEDULE_KEYS.filter(
    (key) =>
      (key !== 'enabled' || values.enabled !== null) &&
      JSON.stringify(values[key]) !== JSON.stringify(stored[key]),
  )
}

/** The changes of a plan as documents have them; with `isPruning`, what is not in the file goes. */
export const changesOf = (plan: Plan, {isPruning}: {isPruning: boolean}): DeclaredChange[] => [
  ...plan.newViews.map((view) =>
    change('create', 'view', qualifiedName(view), fieldsOf(writtenView(view.values), {isNew: true})),
  ),
  ...plan.changedViews.map(({view, registration, keys}) => {
    const stored = registeredValues(registration)
    const fields = keys.map((key) => ({
      field: key,
      from: writtenValue(key, stored),
      to: writtenValue(key, view.values),
    }))
    return change('update', 'view', qualifiedName(view), fields)
  }),
  ...plan.newSchedules.map(({name, values}) =>
    change('create', 'schedule', name, fieldsOf(writtenSchedule(values), {isNew: true})),
  ),
  ...plan.changedSchedules.map(({schedule, before, keys}) => {
    const stored = storedValues(before)
    const fields = keys.map((key) => ({
      field: key,
      from: writtenScheduleValue(key, stored),
      to: writtenScheduleValue(key, schedule.values),
    }))
    return change('update', 'schedule', schedule.name, fields)
  }),
  ...(isPruning ? removals(plan) : []),
]

const removals = ({otherViews, otherSchedules}: Plan): DeclaredChange[] => [
  ...otherSchedules.map((schedule) =>
    change(
      'delete',
      'schedule',
      schedule.name,
      fieldsOf(writtenSchedule(storedValues(schedule)), {isNew: false}),
    ),
  ),
  ...otherViews.map((registration) =>
    change(
      'delete',
      'view',
      qualifiedName(registration),
      fieldsOf(writtenView(registeredValues(registration)), {isNew: false}),
    ),
  ),
]

const change = (
  action: DeclaredChange['action'],
  kind: DeclaredChange['kind'],
  name: string,
  fields: DeclaredChange['fields'],
): DeclaredChange => ({action, kind, name, fields})

const fieldsOf = (values: Record<string, unknown>, {isNew}: {isNew: boolean}): DeclaredChange['fields'] =>
  Object.entries(values).map(([field, value]) => ({
    field,
    from: isNew ? null : value,
    to: isNew ? value : null,
  }))
