import type {Database} from '../../db/database.ts'
import {withDeadline} from '../../lib/abort.ts'
import {AybError, isAybError} from '../../lib/errors.ts'
import {notRegistered} from '../../lib/failures/registrations.ts'
import {qualifiedName} from '../../lib/identifier.ts'
import type {SetMember} from '../../lib/records/refreshes.ts'
import type {ErrorRecord, ViewName} from '../../lib/records/values.ts'
import {type RefreshEvent, type RunTimes, warningIn} from '../../lib/refresh-events.ts'
import {distinct, type Warning} from '../../lib/unworded.ts'
import {type LookAgain, type RefreshOptions, refreshOrLookAgain} from '../refresh/by-hand.ts'
import type {Member} from './order.ts'
import {mayPass} from './sessions.ts'

/** What a caller hears of a set. */
export interface SetListener {
  /** The turn of a view has come. */
  onStart(member: Member): void
  onEvent(member: Member, event: RefreshEvent): void
  /** There is no session for the view at the moment: its turn comes again. */
  onPutBack(member: Member): void
  /** A view has ended, also without a turn. */
  onEnd(member: Member, ended: SetMember): void
}

export interface SetOptions
  extends Pick<
    RefreshOptions,
    'mode' | 'settings' | 'wait' | 'ifChanged' | 'changesUntil' | 'followsProgress'
  > {
  concurrency: number
  isFailFast: boolean
  /** Cancels all that runs; what has not started is canceled, too. */
  signal: AbortSignal
  listener: SetListener
  /** An error in words for the readers of the document. */
  describeError(error: unknown): ErrorRecord
}

/** How the turn of a view ended. */
export type Ended = Partial<SetMember> & Pick<SetMember, 'status'>

/** One view of a set, on its session. */
export class Turn {
  readonly #member: Member
  readonly #db: Database
  readonly #warnings: Warning[] = []
  /** The times of the run; null until the refresh has ended. */
  #times: RunTimes | null = null
  /** The error with which the connection was lost before there was a run. */
  lost: Error | null = null

  constructor(member: Member, db: Database) {
    this.#member = member
    this.#db = db
  }

  /** `set` has the qualified names of all views of the set. */
  async refresh(options: SetOptions, set: ReadonlySet<string>): Promise<Ended | LookAgain> {
    const {mode = null, settings, wait = null, ifChanged = null, changesUntil = null, signal} = options
    const {followsProgress = false} = options
    // By name: the view may have been unregistered and registered again.
    const {schemaName, viewName} = this.#member.registration
    const onEvent = (event: RefreshEvent) => this.#hear(event, options)
    try {
      const refreshed = await withDeadline(
        undefined,
        () => null,
        signal,
        (own) =>
          refreshOrLookAgain(
            this.#db,
            {schemaName, viewName},
            {
              ...{mode, settings, wait, ifChanged, changesUntil},
              ...{signal: own, followsProgress, onEvent},
            },
            set,
          ),
      )
      if ('lookAgainMs' in refreshed) {
        this.#hear({type: 'unchanged', ...refreshed}, options)
        return refreshed
      }
      this.#warnings.push(...refreshed.warnings)
      const {status, registration, reason} = refreshed
      return {status, registration, reason, ...this.#times}
    } catch (error) {
      const explained = await this.#db.explain(error).catch(() => error)
      this.#warnings.push(...this.#db.takeWarnings())
      if (this.#times === null && !options.signal.aborted && mayPass(error)) this.lost = error
      return {...failed(withoutGuess(explained, this.#member.registration), options), ...this.#times}
    }
  }

  #hear(event: RefreshEvent, {listener}: SetOptions): void {
    if (event.type === 'ended') {
      const {type: _, ...times} = event
      this.#times = times
    }
    const warning = warningIn(event)
    if (warning !== null) this.#warnings.push(warning)
    listener.onEvent(this.#member, event)
  }

  /** Each once, and with the name of the view. */
  warnings(): Warning[] {
    return distinct(
      this.#warnings.map((warning) => naming(qualifiedName(this.#member.registration), warning)),
    )
  }
}

/** The warning with the name of the view it is about. */
function naming(view: string, warning: Warning): Warning {
  const name = (text: string) => (text.includes(view) ? text : `${view}: ${text}`)
  return typeof warning === 'string' ? name(warning) : {...warning, message: name(warning.message)}
}

/** The error without the name of another view: nobody has mistyped the name, the view went meanwhile. */
function withoutGuess(error: unknown, {schemaName, viewName}: ViewName): unknown {
  if (!isAybError(error) || (error.details !== null && 'renamed' in error.details)) return error
  if (error.code === 'NOT_REGISTERED') return notRegistered({schemaName, viewName}, null)
  if (error.code !== 'VIEW_NOT_FOUND') return error
  return new AybError('VIEW_NOT_FOUND', error.message, {remedy: {kind: 'discover-views'}})
}

export function failed(error: unknown, {signal, describeError}: SetOptions): Ended {
  const isCanceled = signal.aborted && isAybError(error, 'CANCELED')
  return {status: isCanceled ? 'canceled' : 'error', error: describeError(error)}
}
