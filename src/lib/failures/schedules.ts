import {AybError} from '../errors.ts'

/** `reference` is the id or name that was asked for; `nearest` is a similar name that a schedule has. */
export function scheduleNotFound(reference: string, nearest: string | null): AybError {
  return new AybError(
    'SCHEDULE_NOT_FOUND',
    `there is no schedule ${JSON.stringify(reference)}`,
    nearest ? {hint: `did you mean ${nearest}?`} : {remedy: {kind: 'list-schedules'}},
  )
}

export const scheduleExists = (name: string): AybError =>
  new AybError('SCHEDULE_EXISTS', `the name ${JSON.stringify(name)} is taken by another schedule`, {
    remedy: {kind: 'rename-schedule', takenName: name},
  })

/** The encoding of the database cannot hold a text of the schedule. */
export const unencodableSchedule = (cause: Error): AybError =>
  new AybError(
    'INVALID_ARGUMENT',
    `the name or the payload of the schedule has a character that the encoding of the database cannot hold: ${cause.message}`,
    {hint: 'leave that character out', cause},
  )
