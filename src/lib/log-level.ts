/** The levels of a log, the least important first. */
export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const

export type LogLevel = (typeof LOG_LEVELS)[number]

/** Whether lines of a level are written where that level is the least important one. */
export const isLogged = (level: LogLevel, leastLevel: LogLevel): boolean =>
  LOG_LEVELS.indexOf(level) >= LOG_LEVELS.indexOf(leastLevel)
