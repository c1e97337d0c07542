import {describeTerminal} from '../render/terminal.ts'
import {isDebugging} from './output.ts'
import {commandLineHint} from './remedies.ts'

/**
 * How a long-lived process logs to the stream: in the given format; without a format, pretty on a terminal,
 * else JSON.
 */
export function logOptions(
  stream: NodeJS.WriteStream,
  format: 'pretty' | 'json' | null,
  env: NodeJS.ProcessEnv,
) {
  const {isTerminal, style} = describeTerminal(stream, env)
  return {
    stream,
    format: format ?? (isTerminal ? ('pretty' as const) : ('json' as const)),
    isVerbose: isDebugging(env),
    paint: (name: keyof typeof style, text: string) => style[name](text),
    hintOf: commandLineHint,
  }
}
