const LEVELS = '▁▂▃▄▅▆▇█'
const EIGHTHS = '▏▎▍▌▋▊▉█'

/** A series as blocks that rise from zero to `max` (by default the greatest value); null is a gap. */
export function sparkline(values: readonly (number | null)[], options: {max?: number} = {}): string {
  const max = options.max ?? values.reduce<number>((greatest, value) => Math.max(greatest, value ?? 0), 0)
  return values
    .map((value) => (value === null ? ' ' : LEVELS[Math.round(share(value, max) * (LEVELS.length - 1))]))
    .join('')
}

/**
 * A value as a bar that is `width` columns long at `max`, in eighths of a column, at least one above zero.
 */
export function bar(value: number | null, max: number, width: number): string {
  const part = share(value ?? 0, max)
  const eighths = part === 0 ? 0 : Math.max(1, Math.round(part * width * 8))
  return '█'.repeat(Math.floor(eighths / 8)) + (EIGHTHS[(eighths % 8) - 1] ?? '')
}

function share(value: number, max: number): number {
  return max > 0 ? Math.min(Math.max(value / max, 0), 1) : 0
}
