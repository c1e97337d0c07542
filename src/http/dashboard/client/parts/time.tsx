import {useTicking} from '../clock.ts'
import {formatElapsed, formatRelative} from '../format.ts'

/** An instant as people say it, kept up to date; exactly on hovering. */
export function Time({at}: {at: string}) {
  const text = useTicking((nowMs) => formatRelative(at, nowMs))
  return (
    <time dateTime={at} title={at}>
      {text}
    </time>
  )
}

/** How long something has been under way. */
export function Elapsed({sinceMs}: {sinceMs: number}) {
  return <>{useTicking((nowMs) => formatElapsed(nowMs - sinceMs))}</>
}
