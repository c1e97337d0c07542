import {type AybError, invalidArgument} from './errors.ts'

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
