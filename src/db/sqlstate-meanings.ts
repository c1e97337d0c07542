import type {ErrorCode} from '../lib/errors.ts'
import {FREE_CONNECTIONS_HINT} from '../lib/failures/connections.ts'
import type {Advice} from '../lib/remedies.ts'

/** What an error means by itself, outside a refresh, and what to do about it. */
interface Meaning extends Partial<Advice> {
  code: ErrorCode
}

const BUG: Meaning = {code: 'INTERNAL', remedy: {kind: 'report-bug'}}
const REFUSED: Meaning = {
  code: 'DATABASE_REFUSED',
  hint: 'a rule of this database refused the statement, such as an event trigger, a constraint or an extension: ask the owner of the database',
}
const UNENCODABLE: Meaning = {
  code: 'DATABASE_REFUSED',
  hint: 'the encoding of this database cannot hold a character of the text: leave that character out, or use a database in UTF8',
}
const BEYOND_LIMIT: Meaning = {
  code: 'DATABASE_REFUSED',
  hint: 'the value exceeds a limit of Postgres: make it smaller',
}
const UNDER_CHANGE: Meaning = {
  code: 'TRY_AGAIN',
  hint: 'another session got in the way (on a standby, a change of the primary): try again',
}
const INTERRUPTED: Meaning = {
  code: 'TRY_AGAIN',
  hint: 'somebody canceled the statement, or a limit of the server did: try again',
}
const FAULT: Meaning = {
  code: 'SERVER_RESOURCES',
  hint: 'the server has a problem: check its log, then try again',
}

/**
 * By SQLSTATE or by its first two characters, its class: all classes of Appendix A of the manual. The SQL of
 * ayb is known to work, and its tables run nobody's code. So a class that only such SQL can cause is a bug; a
 * class that data, rules or functions of the database can cause is the decision of the database. A SQLSTATE
 * that is not in Appendix A comes from an extension or a RAISE.
 */
const MEANINGS: Readonly<Record<string, Meaning>> = {
  // Success and warnings, which RAISE alone makes errors of.
  '00': REFUSED,
  '01': REFUSED,
  '02': REFUSED,
  // The statement is not right.
  '03': BUG,
  // Another server is away, which a function asked. The session's own connection is not meant: isFatal.
  '08': REFUSED,
  '08P01': BUG,
  // A trigger failed.
  '09': REFUSED,
  '0A': BUG,
  '0B': BUG,
  '0F': BUG,
  '0L': BUG,
  '0P': BUG,
  // Only functions and queries of others have these: handlers of errors, XQuery, CASE of PL/pgSQL.
  '0Z': REFUSED,
  '10': REFUSED,
  '20': REFUSED,
  '21': BUG,
  // Data: what comes from outside is checked before it is sent.
  '22': BUG,
  '22021': UNENCODABLE,
  '22P05': UNENCODABLE,
  // A constraint that is not ours: what can run into ours is told apart where that happens.
  '23': REFUSED,
  '24': BUG,
  '25': BUG,
  '25006': {code: 'READ_ONLY', hint: 'connect to a server that takes writes, as a role that may write'},
  '26': BUG,
  // Triggers, and roles that a function logs in as elsewhere.
  '27': REFUSED,
  '28': REFUSED,
  '2B': BUG,
  // Functions and procedures.
  '2D': REFUSED,
  '2F': REFUSED,
  '34': BUG,
  '38': REFUSED,
  '39': REFUSED,
  '3B': BUG,
  '3D': BUG,
  '3F': BUG,
  // Deadlocks, serialization, and what recovery cancels on a standby.
  '40': UNDER_CHANGE,
  '42': BUG,
  '42501': {
    code: 'PERMISSION_DENIED',
    hint: 'ask the owner, or a superuser, to GRANT the privilege that the message names',
  },
  '44': REFUSED,
  '53': FAULT,
  '53100': {code: 'SERVER_RESOURCES', hint: 'make room on the disk of the server, then try again'},
  '53200': {code: 'SERVER_RESOURCES', hint: 'the server is out of memory: try again when it is less busy'},
  '53300': {
    code: 'SERVER_RESOURCES',
    hint: FREE_CONNECTIONS_HINT,
  },
  '53400': {code: 'SERVER_RESOURCES', hint: 'raise the limit of the server that the message names'},
  '54': BEYOND_LIMIT,
  // The state that something of the database is in.
  '55': REFUSED,
  '55P03': UNDER_CHANGE,
  '57': INTERRUPTED,
  '58': FAULT,
  // "Snapshot too old", until 16.
  '72': UNDER_CHANGE,
  F0: FAULT,
  // Foreign data.
  HV: REFUSED,
  P0: REFUSED,
  // Damaged data, and faults of Postgres and of extensions.
  XX: FAULT,
}

/** What a SQLSTATE means by itself, outside a refresh. */
export const meaningOf = (sqlstate: string): Meaning =>
  MEANINGS[sqlstate] ?? MEANINGS[sqlstate.slice(0, 2)] ?? REFUSED
