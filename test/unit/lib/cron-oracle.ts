import type {Cron, LocalTime} from './cron-arbitrary.ts'

const MINUTE = 60_000
const DAY = 1440 * MINUTE

const formats = new Map<string, Intl.DateTimeFormat>()

/** What the local clock shows at an instant, as `2026-03-01T12:00`. */
export function localText(timezone: string, instant: number): string {
  let format = formats.get(timezone)
  if (!format) {
    format = new Intl.DateTimeFormat('sv-SE', {
      timeZone: timezone,
      hourCycle: 'h23',
      year: 'numeric',
      month: '2-digit',
      day: '2-digit',
      hour: '2-digit',
      minute: '2-digit',
    })
    formats.set(timezone, format)
  }
  return format.format(instant).replace(' ', 'T')
}

/** Local times are minutes here, counted as if the zone were UTC. */
const localMinute = (timezone: string, instant: number): number =>
  new Date(`${localText(timezone, instant)}Z`).getTime() / MINUTE

function localTimeOf(minute: number): LocalTime {
  const date = new Date(minute * MINUTE)
  return {
    month: date.getUTCMonth() + 1,
    day: date.getUTCDate(),
    weekday: date.getUTCDay(),
    hour: date.getUTCHours(),
    minute: date.getUTCMinutes(),
  }
}

interface Moment {
  instant: number
  /** What the clock shows. */
  shown: LocalTime
  /** Whether it showed that before. */
  isAgain: boolean
  /** What it left out to come here, without days that it left out as a whole. */
  skipped: LocalTime[]
}

/** Somebody who looks at a local clock once a minute, and has done so for two days before `from`. */
export class ClockWalk {
  readonly timezone: string
  readonly from: number
  readonly until: number
  readonly #moments: Moment[] = []

  constructor(timezone: string, from: number, until: number) {
    this.timezone = timezone
    this.from = from
    this.until = until
    const seen = new Set<number>()
    const seenDays = new Set<number>()
    const dayOf = (minute: number) => Math.floor((minute * MINUTE) / DAY)
    let last: number | null = null
    for (let instant = from - 2 * DAY; instant < until; instant += MINUTE) {
      const shown = localMinute(timezone, instant)
      const skipped: LocalTime[] = []
      for (let minute = (last ?? shown) + 1; minute < shown; minute++) {
        const isDayThere = seenDays.has(dayOf(minute)) || dayOf(minute) === dayOf(shown)
        if (!seen.has(minute) && isDayThere) skipped.push(localTimeOf(minute))
      }
      if (instant >= from) {
        this.#moments.push({instant, shown: localTimeOf(shown), isAgain: seen.has(shown), skipped})
      }
      seen.add(shown)
      seenDays.add(dayOf(shown))
      last = shown
    }
  }

  /** The instants at which the job runs. */
  runsOf(cron: Cron): number[] {
    return this.#moments
      .filter(({shown, isAgain, skipped}) =>
        cron.isFixedTime
          ? (!isAgain && cron.matches(shown)) || skipped.some((time) => cron.matches(time))
          : cron.matches(shown),
      )
      .map(({instant}) => instant)
  }
}
