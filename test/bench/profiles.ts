import type {Rate} from './drain.ts'
import type {ProcessorTime} from './processor.ts'
import type {Contestant} from './rounds.ts'
import {median} from './statistics.ts'

/** What the contestants took of the processors for each refresh, round by round. */
export class Profiles {
  readonly #rounds = new Map<string, ProcessorTime[]>()

  contestant(name: string, run: () => Promise<Rate>): Contestant {
    return {
      name,
      measure: async () => {
        const {perSecond, each} = await run()
        if (each) this.#rounds.set(name, [...(this.#rounds.get(name) ?? []), each])
        return perSecond
      },
    }
  }

  /** Where the time of one goes, beside that of the other; empty where that is not known. */
  compare(other: string, one = 'ayb'): string {
    const [ours, theirs] = [this.#of(one), this.#of(other)]
    if (!ours || !theirs) return ''
    return `processor time of a refresh: ${describe(ours)}; with ${other}: ${describe(theirs)}`
  }

  #of(name: string): ProcessorTime | null {
    const rounds = this.#rounds.get(name)
    if (!rounds) return null
    return {
      serverMs: median(rounds.map(({serverMs}) => serverMs)),
      clientMs: median(rounds.map(({clientMs}) => clientMs)),
    }
  }
}

function describe({serverMs, clientMs}: ProcessorTime): string {
  const client = clientMs === 0 ? '' : ` and ${clientMs.toFixed(2)} ms in the client`
  return `${serverMs.toFixed(2)} ms in the server${client}`
}
