import {Document, Scalar, visit} from 'yaml'
import type {Database} from '../../db/database.ts'
import {listRegistrations} from '../../db/registrations.ts'
import {findSchedules} from '../../db/schedules.ts'
import {isViewName, qualifiedName} from '../../lib/identifier.ts'
import {viewOfPayload} from '../../lib/payload.ts'
import {printable} from '../../lib/printable.ts'
import type {Declarations} from '../../lib/records/declarations.ts'
import type {Registration} from '../../lib/records/registrations.ts'
import type {Schedule} from '../../lib/records/schedules.ts'
import {FILE_VERSION} from './declarations.ts'
import {storedValues, whyUnwritable, writtenSchedule} from './schedules.ts'
import {registeredValues, whyUnwritable as whyUnwritableView, writtenView} from './views.ts'

/**
 * The registrations and the schedules as a file describes them, or those of the views of one schema.
 * `onWarning` is told of each that no file can describe.
 */
export async function exportDeclarations(
  db: Database,
  schemaName: string | null,
  onWarning: (warning: string) => void,
): Promise<Declarations> {
  const registrations = await listRegistrations(db, schemaName)
  const schedules = (await findSchedules(db)).filter(
    ({payload}) => schemaName === null || viewOfPayload(payload)?.schemaName === schemaName,
  )
  return {
    version: FILE_VERSION,
    views: writtenViews(registrations, onWarning),
    schedules: writtenSchedules(schedules, onWarning),
  }
}

function writtenViews(
  registrations: readonly Registration[],
  onWarning: (warning: string) => void,
): Declarations['views'] {
  const views: [string, Record<string, unknown>][] = []
  for (const registration of registrations) {
    const name = qualifiedName(registration)
    const values = registeredValues(registration)
    const reason = isViewName(name) ? whyUnwritableView(values) : 'no file can hold its name'
    if (reason === null) views.push([name, writtenView(values)])
    else onWarning(`the registration of ${name} is left out: ${reason}`)
  }
  return Object.fromEntries(views)
}

function writtenSchedules(
  schedules: readonly Schedule[],
  onWarning: (warning: string) => void,
): Declarations['schedules'] {
  const written: [string, Record<string, unknown>][] = []
  for (const schedule of schedules) {
    const values = storedValues(schedule)
    const reason = whyUnwritable(schedule, values)
    if (reason === null) written.push([schedule.name, writtenSchedule(values)])
    else onWarning(`the schedule ${schedule.name} is left out: ${reason}`)
  }
  return Object.fromEntries(written)
}

/** The document as YAML, in characters that a terminal shows as they are. */
export function yamlOf(declarations: Declarations): string {
  const document = new Document(declarations, {aliasDuplicateObjects: false})
  visit(document, {
    Scalar(_, scalar) {
      const {value} = scalar
      // As a plain key, << would merge maps.
      const isOdd = typeof value === 'string' && (value === '<<' || printable(value) !== value)
      if (isOdd) scalar.type = Scalar.QUOTE_DOUBLE
    },
  })
  const lines = document.toString({lineWidth: 0}).trimEnd().split('\n')
  // Within double quotes YAML has the same escapes.
  return lines.map(printable).join('\n')
}
