type Tone = 'good' | 'bad' | 'busy' | 'plain' | 'warn'

const TONES: Record<string, Tone> = {
  success: 'good',
  completed: 'good',
  enabled: 'good',
  error: 'bad',
  failed: 'bad',
  missing: 'bad',
  never: 'bad',
  failing: 'bad',
  stale: 'warn',
  overdue: 'warn',
  fresh: 'good',
  running: 'busy',
  refreshing: 'busy',
  queued: 'busy',
  waiting: 'busy',
  warning: 'warn',
  skipped: 'warn',
  canceled: 'warn',
}

/** A state in a word; the colour only repeats it. */
export function Badge({state}: {state: string}) {
  return <span class={`badge badge-${TONES[state] ?? 'plain'}`}>{state}</span>
}
