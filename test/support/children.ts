import {mkdtempSync, rmSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {afterAll, inject} from 'vitest'

/** Programs that a test file started and that have not ended. */
const running = new Set<() => void>()
let home: string | undefined

afterAll(cleanUp)

// A test file can end early too: by a signal, or because the run that it belongs to is gone.
process.once('exit', cleanUp)
process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'))
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.once(signal, () => {
    cleanUp()
    process.kill(process.pid, signal)
  })
}

/** Has `kill` called at the end of the test file; returns what takes that back. */
export function killAtEnd(kill: () => void): () => void {
  running.add(kill)
  return () => running.delete(kill)
}

/**
 * The built program.
 * @throws Error where it could not be built
 */
export function programPath(): string {
  const failure = inject('buildFailure')
  if (failure !== null) throw new Error(`node bin/build.js failed:\n${failure}`)
  return join(inject('root'), 'bin', 'run.js')
}

/** A home folder without anything in it, one for a test file. */
export function emptyHome(): string {
  home ??= mkdtempSync(join(tmpdir(), 'ayb-test-home-'))
  return home
}

/** The variables a program gets when nothing is inherited; those that are undefined are left out. */
export function minimalEnvironment(
  home: string,
  url: string | undefined,
  extra: Record<string, string | undefined> = {},
): Record<string, string> {
  const all = {
    PATH: process.env.PATH ?? '/usr/bin:/bin',
    HOME: home,
    DATABASE_URL: url,
    // Where a run that measures coverage collects the coverage of programs: test/support/coverage.ts.
    NODE_V8_COVERAGE: process.env.AYB_TEST_COVERAGE,
    ...extra,
  }
  return Object.fromEntries(
    Object.entries(all).filter((entry): entry is [string, string] => entry[1] !== undefined),
  )
}

function cleanUp(): void {
  for (const kill of running) kill()
  running.clear()
  if (home !== undefined) rmSync(home, {recursive: true, force: true, maxRetries: 5, retryDelay: 20})
  home = undefined
}
