type Tone = 'good' | 'bad' | 'busy' | 'plain' | 'warn'

const TONES: Record<string, Tone> = {
  success: 'good',
  completed: 'good',
  enabled: 'good',
  error: 'bad',
  failed: 'bad',
  missing: 'bad',
  running: 'busy',
  refreshing: 'busy',
  queued: 'busy',
  waiting: 'busy',
  skipped: 'warn',
  canceled: 'warn',
}

/** A state in a word; the colour only repeats it. */
export function Badge({state}: {state: string}) {
  return <span class={`badge badge-${TONES[state] ?? 'plain'}`}>{state}</span>
}
