import {AybError, invalidArgument} from './errors.ts'

/** Where something stands in a file; both count from 1. */
export interface Place {
  line: number
  column: number
}

/** Something that is wrong with a file. */
export interface Problem extends Place {
  /** The keys that lead there: `views.public.leaderboard.mode`; empty for the file as a whole. */
  path: string
  error: AybError
}

/** More than anybody reads at once. */
const MOST_PROBLEMS = 100

/** The problems of a file, by their places. */
export class Problems {
  readonly #found: Problem[] = []

  add({line, column}: Place, path: string, error: AybError): void {
    if (!this.isFull) this.#found.push({line, column, path, error})
  }

  /** The same for what a person wrote. */
  say(place: Place, path: string, message: string, hint: string): void {
    this.add(place, path, invalidArgument(message, hint))
  }

  /** Whether there are so many problems that the search for more stops. */
  get isFull(): boolean {
    return this.#found.length >= MOST_PROBLEMS
  }

  get isEmpty(): boolean {
    return this.#found.length === 0
  }

  /** @throws FileProblems where there is a problem */
  throwAny(): void {
    if (this.isEmpty) return
    this.#found.sort((a, b) => a.line - b.line || a.column - b.column)
    throw new FileProblems(this.#found, {isCut: this.isFull})
  }
}

/** All that is wrong with a file: a surface makes one error of it, in its own words. */
export class FileProblems extends Error {
  readonly problems: readonly Problem[]
  /** Whether there may be more. */
  readonly isCut: boolean

  constructor(problems: readonly Problem[], {isCut}: {isCut: boolean}) {
    super('the file has errors')
    this.problems = problems
    this.isCut = isCut
  }
}

/** One problem, as documents hold it. */
export interface ProblemRecord extends Place {
  path: string
  message: string
  hint: string | null
}

/**
 * One error of all problems of a file, with the code of the first problem. `name` is what to call the file;
 * `hintOf` words what a problem advises for the readers of one surface.
 */
export function fileError(
  name: string,
  {problems, isCut}: FileProblems,
  hintOf: (error: AybError) => string | null,
): {error: AybError; errors: ProblemRecord[]} {
  const errors = problems.map(({line, column, path, error}) => ({
    ...{line, column, path, message: error.message, hint: hintOf(error)},
  }))
  const count = errors.length === 1 ? 'an error' : `${isCut ? 'at least ' : ''}${errors.length} errors`
  const code = problems[0]?.error.code ?? 'INVALID_ARGUMENT'
  return {
    error: new AybError(code, `${name} has ${count}: nothing was changed`, {details: {errors}}),
    errors,
  }
}
