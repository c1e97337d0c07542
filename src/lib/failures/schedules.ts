import {AybError} from '../errors.ts'

/** `reference` is what was typed; `nearest` is the name of a schedule that is similar. */
export function scheduleNotFound(reference: string, nearest: string | null): AybError {
  return new AybError('SCHEDULE_NOT_FOUND', `there is no schedule ${JSON.stringify(reference)}`, {
    hint: nearest ? `did you mean ${nearest}?` : 'see which there are with: ayb schedules list',
  })
}

export const scheduleExists = (name: string): AybError =>
  new AybError('SCHEDULE_EXISTS', `the name ${JSON.stringify(name)} is taken by another schedule`, {
    hint: 'choose another name, or change that schedule with: ayb schedules update; those of other programs are not shown, and keep their names',
  })

/** A schedule of which the encoding of the database cannot hold some text. */
export const unencodableSchedule = (cause: Error): AybError =>
  new AybError(
    'INVALID_ARGUMENT',
    `the name or the payload of the schedule has a character that the encoding of the database cannot hold: ${cause.message}`,
    {hint: 'leave that character out', cause},
  )
