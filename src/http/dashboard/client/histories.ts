import {useCallback, useEffect, useMemo, useRef, useState} from 'preact/hooks'
import type {ListedRegistration} from '../../../lib/records/registrations.ts'
import type {Run} from '../../../lib/records/runs.ts'
import type {Api, Items} from './api.ts'

const RUNS = 10
/** A browser has six connections to a server: the others are for three refreshes and a poll. */
const AT_A_TIME = 2

/**
 * How long to read the runs at each poll after a cancel: the server records the run only after its answer.
 */
const UNSETTLED_MS = 15_000

/** The part of a registration whose change means that its runs are read again. */
type Followed = Pick<ListedRegistration, 'id' | 'lastRefreshAt' | 'updatedAt'>

export interface Histories {
  /** The last runs of each registration, newest first. */
  runs: ReadonlyMap<string, readonly Run[]>
  /** Reads the runs of each registration that has changed since the last read; forgets all other runs. */
  follow(registrations: readonly Followed[]): void
  /** Reads the runs of a registration at the next polls: a canceled refresh changes the history alone. */
  expectRun(id: string): void
}

/** The histories that were read, kept while other pages are shown. */
export function useHistories(api: Api): Histories {
  const [runs, setRuns] = useState<Histories['runs']>(new Map())
  /** For each registration, the state for which its runs were read, or are being read. */
  const read = useRef(new Map<string, string>())
  /** Until when a registration may get another run without a change of its own, as Date.now() tells it. */
  const unsettled = useRef(new Map<string, number>())
  const queue = useRef<Followed[]>([])
  const active = useRef(0)
  const stop = useRef(new AbortController())

  useEffect(() => {
    stop.current = new AbortController()
    return () => stop.current.abort()
  }, [])

  const follow = useCallback(
    (registrations: readonly Followed[]) => {
      const {signal} = stop.current

      async function work(): Promise<void> {
        active.current++
        for (let next = queue.current.shift(); next && !signal.aborted; next = queue.current.shift()) {
          const [{id}, state] = [next, stateOf(next)]
          read.current.set(id, state)
          const isLatest = () => read.current.get(id) === state
          try {
            const {items} = await api.get<Items<Run>>(`matviews/${id}/history?limit=${RUNS}`, signal)
            if (isLatest()) setRuns((last) => new Map(last).set(id, items))
          } catch {
            // A plot is an extra: the next poll asks again, and reports the error.
            if (isLatest()) read.current.delete(id)
          }
        }
        active.current--
      }

      for (const [id, untilMs] of unsettled.current) {
        read.current.delete(id)
        if (untilMs < Date.now()) unsettled.current.delete(id)
      }
      queue.current = registrations.filter((each) => read.current.get(each.id) !== stateOf(each))
      while (active.current < AT_A_TIME && queue.current.length > 0) work()
    },
    [api],
  )

  const expectRun = useCallback((id: string) => {
    unsettled.current.set(id, Date.now() + UNSETTLED_MS)
  }, [])

  return useMemo(() => ({runs, follow, expectRun}), [runs, follow, expectRun])
}

const stateOf = ({lastRefreshAt, updatedAt}: Followed): string => `${lastRefreshAt} ${updatedAt}`
