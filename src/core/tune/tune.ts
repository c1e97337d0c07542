import {findConcurrentFitness} from '../../db/catalog.ts'
import type {Database} from '../../db/database.ts'
import {readUsage, type Usage} from '../../db/refresh/usage.ts'
import {AybError, isAybError} from '../../lib/errors.ts'
import {qualifiedName, type ViewReference} from '../../lib/identifier.ts'
import type {PostgresSettings, Setting} from '../../lib/postgres-settings.ts'
import type {Registration} from '../../lib/records/registrations.ts'
import type {TuneCandidate, Tuning} from '../../lib/records/tuning.ts'
import type {ErrorRecord, RefreshMode} from '../../lib/records/values.ts'
import {showsBegun} from '../../lib/refresh-events.ts'
import type {Unworded, Warning} from '../../lib/unworded.ts'
import {requireRegistration} from '../lookup.ts'
import {refresh} from '../refresh/by-hand.ts'
import {requestedMode, workingMode} from '../refresh/mode.ts'
import {wantedSettings} from '../refresh/request.ts'
import {update} from '../registrations.ts'
import {type Candidate, candidatesFor} from './candidates.ts'
import {median, spread, winnerOf} from './winner.ts'

/** For all statements but the refreshes: one that is not answered by then has a dead network under it. */
const ANSWER_DEADLINE_MS = 15_000

interface TuneOptions {
  rounds: number
  /** In place of the usual ones, if there are any. */
  tries: readonly Setting[]
  /** For all refreshes together. */
  budgetMs: number
  /** Whether to keep the winner. */
  isApplied: boolean
  signal: AbortSignal
  /** Before each refresh. */
  onRefresh(now: {candidate: Candidate; round: number}): void
  /** After each refresh that has begun. */
  onEnd?(end: {status: 'success' | 'error' | 'canceled'; durationMs: number | null}): void
  describeError(error: unknown): ErrorRecord
}

interface Measured {
  candidate: Candidate
  times: number[]
  walBytes: number[]
  tempBytes: number[]
  error: ErrorRecord | null
}

/**
 * Refreshes a view in several ways, in turn, and says which one is fastest, where that can be told. Each is a
 * refresh like any other. What is registered stays, unless the winner is to be kept.
 * @throws AybError NOT_REGISTERED, CANCELED; what keeps the view from being refreshed as it is registered
 */
export async function tune(
  db: Database,
  reference: ViewReference,
  options: TuneOptions,
): Promise<Unworded<Tuning>> {
  const short = db.within(ANSWER_DEADLINE_MS)
  const registration = await requireRegistration(short, reference)
  const {candidates, warnings} = await findCandidates(short, registration, options.tries)
  const measured = candidates.map(
    (candidate): Measured => ({candidate, times: [], walBytes: [], tempBytes: [], error: null}),
  )
  await measureAll(db, registration, measured, options)
  const winner = winnerOf(measured.map(({times}) => times))
  const isApplied = options.isApplied && winner !== null && winner > 0
  if (isApplied) {
    // The last measurement may have ended before it saw the signal.
    options.signal.throwIfAborted()
    warnings.push(...(await keep(short, registration, candidates, winner)))
  }
  const {schemaName, viewName} = registration
  return {
    view: {schemaName, viewName},
    candidates: measured.map((each) => toRecord(each, options.rounds)),
    winner,
    applied: isApplied,
    warnings: [...db.takeWarnings(), ...warnings],
  }
}

/** The ways to refresh the view; in both modes where that works. */
async function findCandidates(
  db: Database,
  registration: Registration,
  tries: readonly Setting[],
): Promise<{candidates: Candidate[]; warnings: Warning[]}> {
  const [fitness] = await findConcurrentFitness(db.session, [registration])
  const working = fitness ? workingMode(fitness) : 'standard'
  const requested = requestedMode(registration, null)
  const now = requested === 'auto' ? working : requested
  const other: RefreshMode = now === 'standard' ? 'concurrent' : 'standard'
  const isConcurrentReady = working === 'concurrent'
  const modes: RefreshMode[] = isConcurrentReady ? [now, other] : [now]
  const name = qualifiedName(registration)
  const warnings = isConcurrentReady
    ? [
        `a concurrent refresh of ${name} takes longer the more rows have changed; between these refreshes, few or no rows changed`,
      ]
    : [`${name} is tried in ${now} mode only, since it has no data yet, or no unique index`]
  return {candidates: candidatesFor(registration, modes, tries), warnings}
}

/** Refreshes the view in all ways, round by round, until the rounds are done or the time is over. */
async function measureAll(
  db: Database,
  registration: Registration,
  measured: readonly Measured[],
  {rounds, budgetMs, signal, onRefresh, onEnd = () => {}, describeError}: TuneOptions,
): Promise<void> {
  const budget = new AbortController()
  const timer = setTimeout(
    () => budget.abort(new AybError('CANCELED', 'canceled: the time for tuning is over')),
    budgetMs,
  )
  const stop = AbortSignal.any([signal, budget.signal])
  try {
    for (let round = 0; round < rounds; round++) {
      // Another one begins each round: what comes first finds a colder cache than the rest.
      const order = measured.map((_, place) => measured[(place + round) % measured.length] as Measured)
      for (const each of order) {
        if (each.error !== null) continue
        onRefresh({candidate: each.candidate, round: round + 1})
        try {
          await measure(db, registration, each, {signal: stop, onEnd})
        } catch (error) {
          if (budget.signal.aborted && !signal.aborted) return
          const isBaseline = each === measured[0]
          if (isBaseline || !isAybError(error) || signal.aborted || !db.session.isUsable) throw error
          each.error = describeError(error)
        }
      }
    }
  } finally {
    clearTimeout(timer)
  }
}

async function measure(
  db: Database,
  registration: Registration,
  measured: Measured,
  {signal, onEnd}: Required<Pick<TuneOptions, 'signal' | 'onEnd'>>,
): Promise<void> {
  const {mode} = measured.candidate
  // Only what differs is asked for: a setting of the view that its role may no longer set is no error then.
  const settings = ownDifferences(registration, measured.candidate)
  const {session} = db.within(ANSWER_DEADLINE_MS)
  const before = await readUsage(session)
  let hasBegun = false
  const {durationMs} = await refresh(
    db,
    {id: registration.id},
    {
      ...{
        mode,
        settings: wantedSettings({postgres: settings}),
        wait: {timeoutMs: null},
        ifChanged: false,
        signal,
      },
      onEvent(event) {
        hasBegun ||= showsBegun(event)
      },
    },
  ).catch((error) => {
    if (hasBegun) onEnd({status: isAybError(error, 'CANCELED') ? 'canceled' : 'error', durationMs: null})
    throw error
  })
  onEnd({status: 'success', durationMs})
  const after = await readUsage(session)
  measured.times.push(durationMs ?? 0)
  for (const kind of ['walBytes', 'tempBytes'] as const) {
    const bytes = difference(before, after, kind)
    if (bytes !== null) measured[kind].push(bytes)
  }
}

function difference(before: Usage, after: Usage, kind: keyof Usage): number | null {
  const [from, to] = [before[kind], after[kind]]
  return from === null || to === null ? null : Math.max(0, to - from)
}

/** Has the view refreshed like that from now on. Returns what the change warns of. */
async function keep(
  db: Database,
  registration: Registration,
  candidates: readonly Candidate[],
  winner: number,
): Promise<Warning[]> {
  const [now, kept] = [candidates[0] as Candidate, candidates[winner] as Candidate]
  const settings = ownDifferences(registration, kept)
  const {warnings} = await update(
    db,
    {id: registration.id},
    {
      // The registered mode may be out of date, where it is auto.
      mode: kept.mode === now.mode ? null : kept.mode,
      ...(Object.keys(settings).length > 0 ? {policy: {settings}} : {}),
    },
  )
  return warnings
}

/** The settings of a candidate that the view does not have. */
const ownDifferences = ({policy}: Registration, {settings}: Candidate): PostgresSettings =>
  Object.fromEntries(Object.entries(settings).filter(([name, value]) => policy?.settings[name] !== value))

function toRecord({candidate, times, walBytes, tempBytes, error}: Measured, rounds: number): TuneCandidate {
  const whole = (value: number | null) => (value === null ? null : Math.round(value))
  const isDone = times.length === rounds
  return {
    ...candidate,
    rounds: times.length,
    medianMs: whole(median(times)),
    spreadMs: whole(spread(times)),
    walBytes: whole(median(walBytes)),
    tempBytes: whole(median(tempBytes)),
    status: error !== null ? 'failed' : isDone ? 'measured' : 'unfinished',
    error,
  }
}
