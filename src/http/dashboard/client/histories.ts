import {useCallback, useEffect, useMemo, useRef, useState} from 'preact/hooks'
import type {ListedRegistration} from '../../../lib/records/registrations.ts'
import type {Run} from '../../../lib/records/runs.ts'
import type {Api, Items} from './api.ts'

const RUNS = 10

/**
 * How long to read the runs at each poll after a cancel: the server records the run only after its answer.
 */
const UNSETTLED_MS = 15_000

/** The part of a registration whose change means that its runs are read again. */
type Followed = Pick<ListedRegistration, 'id' | 'lastRefreshAt' | 'updatedAt'>

export interface Histories {
  /** The last runs of each registration, newest first. */
  runs: ReadonlyMap<string, readonly Run[]>
  /** Reads the runs of those that have changed since theirs were read, with one request. */
  follow(registrations: readonly Followed[]): void
  /** Reads the runs of a registration at the next polls: a canceled refresh changes the history alone. */
  expectRun(id: string): void
}

/** The histories that were read, kept while other pages are shown. */
export function useHistories(api: Api): Histories {
  const [runs, setRuns] = useState<Histories['runs']>(new Map())
  /** For each registration, the state for which its runs were read. */
  const read = useRef(new Map<string, string>())
  /** Until when a registration may get another run without a change of its own, as Date.now() tells it. */
  const unsettled = useRef(new Map<string, number>())
  const isReading = useRef(false)
  const stop = useRef(new AbortController())

  useEffect(() => {
    stop.current = new AbortController()
    return () => stop.current.abort()
  }, [])

  const follow = useCallback(
    async (registrations: readonly Followed[]): Promise<void> => {
      if (isReading.current) return
      for (const [id, untilMs] of unsettled.current) {
        read.current.delete(id)
        if (untilMs < Date.now()) unsettled.current.delete(id)
      }
      const changed = registrations.filter((each) => read.current.get(each.id) !== stateOf(each))
      if (changed.length === 0) return
      isReading.current = true
      try {
        const ids = changed.map(({id}) => id).join()
        const path = `matviews/runs?ids=${ids}&limit=${RUNS}`
        const {items} = await api.get<Items<{id: string; runs: Run[]}>>(path, stop.current.signal)
        for (const each of changed) read.current.set(each.id, stateOf(each))
        setRuns((last) => new Map([...last, ...items.map((each) => [each.id, each.runs] as const)]))
      } catch {
        // A plot is an extra: the next poll asks again, and reports the error.
      } finally {
        isReading.current = false
      }
    },
    [api],
  )

  const expectRun = useCallback((id: string) => {
    unsettled.current.set(id, Date.now() + UNSETTLED_MS)
  }, [])

  return useMemo(() => ({runs, follow, expectRun}), [runs, follow, expectRun])
}

const stateOf = ({lastRefreshAt, updatedAt}: Followed): string => `${lastRefreshAt} ${updatedAt}`
