import {type AybError, isAybError} from '../../lib/errors.ts'
import type {Emit} from '../../lib/worker-events.ts'
import {type ControlSession, isTransient} from './control.ts'
import type {LowerBounds} from './lower-bounds.ts'
import type {Rhythm, TurnEnd} from './rhythm.ts'
import type {WarningThrottle} from './warning-throttle.ts'

/** The parts of a worker that an error in a turn touches. */
interface FailureParts {
  rhythm: Rhythm
  bounds: LowerBounds
  control: ControlSession
  throttle: WarningThrottle
  /** Whether the worker ends when nothing is due any more. */
  isOnce: boolean
  emit: Emit
  /** Called where the tables of ayb can no longer be trusted. */
  onDistrust(error: AybError): void
}

/** What an error in a turn leads to. */
export class TurnFailures {
  readonly #parts: FailureParts

  constructor(parts: FailureParts) {
    this.#parts = parts
  }

  /**
   * Connects again, or goes on without an optional table, or warns and tries again later.
   * @throws the error, where it ends the worker
   */
  async survive(error: unknown): Promise<TurnEnd> {
    const {rhythm, bounds, control, throttle, isOnce, onDistrust} = this.#parts
    if (await this.#hasLostTable(error)) return rhythm.afterFailure({isLost: true})
    const isForOthers = isAybError(error, 'READ_ONLY') && isOnce
    if (isTransient(error) && !isForOthers) {
      throttle.reset()
      bounds.reset()
      control.lose(error)
      return rhythm.afterFailure({isLost: true})
    }
    if (!isAybError(error)) throw error
    if (error.code === 'UNTRUSTED_TABLE') onDistrust(error)
    // Whoever started the worker with --once can start it again.
    if (isOnce) throw error
    if (error.code !== 'UNTRUSTED_TABLE') this.warnOf(error)
    return rhythm.afterFailure({isLost: false})
  }

  /** Warns of an error that only a person can mend, unless the same warning was given a while ago. */
  warnOf(error: AybError): void {
    const {throttle, emit} = this.#parts
    const {message} = error
    if (!isTransient(error) && throttle.isNews(error)) emit({type: 'warning', message})
  }

  /** Whether the next turn goes on without an optional table that the control session used before. */
  async #hasLostTable(error: unknown): Promise<boolean> {
    const lost = await this.#parts.control.current?.hasLostTable(error).catch(() => false)
    return lost === true
  }
}
