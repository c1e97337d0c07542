import {Chalk} from 'chalk'

/** 0 for none, 1 for 16 colours, 2 for 256, 3 for 16 million. */
type ColorLevel = 0 | 1 | 2 | 3

export type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan'

/** The stream that text goes to, and what it can show. */
export interface Terminal {
  /** False for a pipe or a file. */
  isTerminal: boolean
  columns: number
  colorLevel: ColorLevel
  /** Whether a spinner may turn. */
  isAnimated: boolean
  /** Without colours, each function returns its text unchanged. */
  style: Record<Style, (text: string) => string>
}

/** The context for rendering a document. */
export interface RenderContext {
  terminal: Terminal
  now: Date
  /** Nothing is left out or cut, however wide the terminal is. */
  isWide?: boolean
  /** What a list is sorted by, as --sort names it. */
  sort?: string | undefined
}

type Environment = Record<string, string | undefined>

const DEFAULT_COLUMNS = 80

/** What a stream can show, by its kind and by NO_COLOR, FORCE_COLOR, TERM, COLORTERM and CI. */
export function describeTerminal(stream: {isTTY?: boolean; columns?: number}, env: Environment): Terminal {
  const isTerminal = stream.isTTY === true
  const colorLevel = colorLevelOf(isTerminal, env)
  return {
    isTerminal,
    // A pty without a size has 0 columns.
    columns: stream.columns || DEFAULT_COLUMNS,
    colorLevel,
    // On a pty of 0 columns, ora draws without end.
    isAnimated: isTerminal && stream.columns !== 0 && env.TERM !== 'dumb' && !isContinuousIntegration(env),
    style: styles(colorLevel),
  }
}

function colorLevelOf(isTerminal: boolean, env: Environment): ColorLevel {
  if (env.NO_COLOR) return 0
  if (env.FORCE_COLOR !== undefined) return forcedLevel(env.FORCE_COLOR)
  if (env.TERM === 'dumb' || !isTerminal) return 0
  if (env.COLORTERM === 'truecolor' || env.COLORTERM === '24bit') return 3
  return env.TERM?.includes('256') ? 2 : 1
}

function forcedLevel(value: string): ColorLevel {
  if (value === '0' || value === 'false') return 0
  if (value === '2') return 2
  return value === '3' ? 3 : 1
}

/** Whether the variable `CI` is set, and not to false. */
export function isContinuousIntegration({CI}: Environment): boolean {
  return CI !== undefined && CI !== '' && CI !== 'false'
}

function styles(level: ColorLevel): Terminal['style'] {
  // The level is explicit, since the detection of chalk ignores NO_COLOR.
  const chalk = level === 0 ? null : new Chalk({level})
  const styled = (style: Style) => (text: string) => (chalk === null ? text : chalk[style](text))
  return {
    bold: styled('bold'),
    dim: styled('dim'),
    red: styled('red'),
    green: styled('green'),
    yellow: styled('yellow'),
    cyan: styled('cyan'),
  }
}
