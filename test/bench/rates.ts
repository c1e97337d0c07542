import type {ProcessorTime} from './processor.ts'
import {median} from './statistics.ts'

/** What each refresh took of the processors: null where that is not told. */
interface Profiled {
  each: ProcessorTime | null
}

/** How fast a drain went. */
export interface Rate extends Profiled {
  perSecond: number
}

/** How far a drain came that ends at a deadline, and how fast. */
export interface Progress {
  perSecond: number
  done: number
}

/** What is compared of them. */
export const speedsOf = (rates: readonly {perSecond: number}[]): number[] =>
  rates.map(({perSecond}) => perSecond)

/** Where the time of one goes, beside that of another; empty where that is not known. */
export function compareProfiles(
  ours: readonly Profiled[],
  {
    name,
    rates,
    of = 'a refresh, from when they are due',
  }: {name: string; rates: readonly Profiled[]; of?: string},
): string {
  const [one, other] = [profileOf(ours), profileOf(rates)]
  if (!one || !other) return ''
  return `processor time of ${of}: ${describe(one)}; with ${name}: ${describe(other)}`
}

/** How far they came by the deadline where not all was done, the worst of them; empty where all was. */
export function describeCut(progress: readonly Progress[], jobs: number, deadlineMs: number): string {
  const done = Math.min(jobs, ...progress.map((one) => one.done))
  return done === jobs ? '' : `; stopped after ${deadlineMs / 1000} s, with ${done} of ${jobs} done`
}

function profileOf(rates: readonly Profiled[]): ProcessorTime | null {
  const known = rates.flatMap(({each}) => each ?? [])
  if (known.length === 0) return null
  return {
    serverMs: median(known.map(({serverMs}) => serverMs)),
    clientMs: median(known.map(({clientMs}) => clientMs)),
  }
}

const describe = ({serverMs, clientMs}: ProcessorTime): string =>
  `${serverMs.toFixed(2)} ms in the server and ${clientMs.toFixed(2)} ms in the client`
