// The text of a file as nodes of the library `yaml`. The library reads a text to its end, whatever is wrong
// with it: a megabyte of commas takes seconds. Here it is given the text token by token, and stopped early.

import {
  Composer,
  type CST,
  type Document,
  Lexer,
  type LineCounter,
  type Node,
  Parser,
  YAMLParseError,
  type YAMLWarning,
} from 'yaml'

/** More than anybody reads at once. */
const MOST_ERRORS = 100

/** Views, their names and their keys are three levels. */
const DEEPEST = 100

/** What is wrong with the text of a file. */
type YamlProblem = YAMLParseError | YAMLWarning

/** Ends the work of the library. */
class Enough extends Error {
  readonly problems: readonly YamlProblem[]

  constructor(problems: readonly YamlProblem[]) {
    super('the text has too many errors')
    this.problems = problems
  }
}

/** The first document of a text, and what is wrong with the text: at most some hundred errors. */
export function parseText(
  text: string,
  lines: LineCounter,
): {contents: Node | null; problems: readonly YamlProblem[]} {
  const composer = new Composer({
    uniqueKeys: false,
    prettyErrors: false,
    logLevel: 'error',
    lineCounter: lines,
  })
  stopAtMany(composer)
  try {
    const [first, second] = composer.compose(tokensOf(text, lines), true, text.length)
    if (!first) return {contents: null, problems: []}
    const {contents, errors, warnings} = first as Document.Parsed
    const others = second ? [new YAMLParseError(placeOf(second), 'MULTIPLE_DOCS', '')] : []
    return {contents, problems: [...errors, ...warnings, ...others]}
  } catch (error) {
    if (error instanceof Enough) return {contents: null, problems: error.problems}
    throw error
  }
}

const placeOf = ({range}: Document.Parsed): [number, number] => [range[0], range[1]]

/**
 * Has the composer stop behind its hundredth error. It takes what is thrown for an error, and throws again.
 */
function stopAtMany(composer: Composer): void {
  const {errors, warnings} = composer.streamInfo()
  const all: YamlProblem[] = []
  for (const problems of [errors, warnings] as YamlProblem[][]) {
    problems.push = (problem) => {
      if (all.length >= MOST_ERRORS) throw new Enough(all)
      all.push(problem as YamlProblem)
      problems[problems.length] = problem as YamlProblem
      return problems.length
    }
  }
}

/**
 * Lexemes without a place in the text: the beginning of a document, the end of a flow error, and a scalar.
 */
const MARKS = ['\u0002', '\u0018', '\u001f']

function* tokensOf(text: string, lines: LineCounter): Generator<CST.Token> {
  const parser = new Parser(lines.addNewLine)
  lines.addNewLine(0)
  const depth = new Depth()
  let offset = 0
  let errors = 0
  for (const lexeme of new Lexer().lex(text)) {
    if (depth.isTooDeepAt(lexeme)) {
      throw new Enough([new YAMLParseError([offset, offset + 1], 'RESOURCE_EXHAUSTION', '')])
    }
    for (const token of parser.next(lexeme)) {
      if (token.type === 'error') errors++
      yield token
      // The composer has taken that in, and has as many errors now.
      if (errors > MOST_ERRORS) return
    }
    if (!MARKS.includes(lexeme)) offset += lexeme.length
  }
  yield* parser.end()
}

/** How deep brackets nest, and indicators in one line: by indentation, a megabyte cannot nest deep. */
class Depth {
  #brackets = 0
  #indicators = 0

  isTooDeepAt(lexeme: string): boolean {
    if (lexeme === '[' || lexeme === '{') this.#brackets++
    else if (lexeme === ']' || lexeme === '}') this.#brackets--
    else if (lexeme === '\n' || lexeme === '\r\n') this.#indicators = 0
    else if (this.#brackets === 0 && (lexeme === '-' || lexeme === '?' || lexeme === ':')) this.#indicators++
    return this.#brackets > DEEPEST || this.#indicators > DEEPEST
  }
}
