import {isDeepStrictEqual} from 'node:util'

/** Something came out otherwise than the story tells it. */
export class CheckFailure extends Error {
  override readonly name: string = 'CheckFailure'
}

/**
 * Holds the story to its word.
 * @throws CheckFailure with `claim`, a sentence that was to be true
 */
export function check(isTrue: boolean, claim: string): asserts isTrue {
  if (!isTrue) throw new CheckFailure(`not true: ${claim}`)
}

/** @throws CheckFailure that shows both */
export function checkEqual<T>(actual: T, expected: T, what: string): void {
  if (isDeepStrictEqual(actual, expected)) return
  throw new CheckFailure(`${what}: expected ${JSON.stringify(expected)}, got ${JSON.stringify(actual)}`)
}
