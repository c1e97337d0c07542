/** A timer of Node can fire a millisecond early. */
export const TIMER_EARLY_MS = 1

/** 24.8 days, the longest time that a timer of Node can count. */
const LONGEST_TIMER_MS = 2_147_483_647

/**
 * The milliseconds for a timer: at most what Node can count. A longer time makes Node fire after 1 ms, so
 * that `--timeout 35791m` with the patience for its answer dropped the connection at once.
 */
export const timerMs = (ms: number): number => Math.min(ms, LONGEST_TIMER_MS)
