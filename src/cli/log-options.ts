import type {LogLevel} from '../lib/log-level.ts'
import {describeTerminal} from '../render/terminal.ts'
import {isDebugging} from './output.ts'
import {commandLineHint} from './remedies.ts'

/** How to log, as far as somebody has asked for it. */
interface LogSettings {
  logFormat: 'pretty' | 'json' | null
  logLevel: LogLevel | null
}

/**
 * How a long-lived process logs to the stream. Without a format: pretty on a terminal, else JSON. Without a
 * level: info, or all there is while ayb is debugged.
 */
export function logOptions(
  stream: NodeJS.WriteStream,
  {logFormat, logLevel}: LogSettings,
  env: NodeJS.ProcessEnv,
) {
  const {isTerminal, style} = describeTerminal(stream, env)
  return {
    stream,
    format: logFormat ?? (isTerminal ? ('pretty' as const) : ('json' as const)),
    leastLevel: logLevel ?? (isDebugging(env) ? ('debug' as const) : ('info' as const)),
    paint: (name: keyof typeof style, text: string) => style[name](text),
    hintOf: commandLineHint,
  }
}
