import {mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {delimiter, dirname, join} from 'node:path'
import {rootFolder, startProgram} from '../bench/programs.ts'
import {inherited, type Program} from './programs.ts'

/** A server and a Node.js. */
export interface Combination {
  server: Program
  node: Program
}

/** How the tests went on a combination. */
export interface Outcome {
  /** The versions that the tests themselves saw; null where they did not get that far. */
  postgres: string | null
  node: string | null
  passed: number
  failed: number
  skipped: number
  seconds: number
  /** What went wrong: tests that failed, or why there are no results. Empty where all is well. */
  failures: readonly string[]
  /** All that was printed. */
  log: string
}

/** What Vitest writes about a run. */
interface Report {
  numPassedTests: number
  numFailedTests: number
  numPendingTests: number
  testResults: {
    name: string
    status: string
    message: string
    assertionResults: {fullName: string; status: string; failureMessages?: string[]}[]
  }[]
}

/** What the set-up of the server says, on standard output, of where the tests run. */
const SEEN = /^tests run on PostgreSQL (\S+) and Node\.js v(\S+)$/gm

/**
 * Runs the projects of the tests with that Node.js, on that server; all files, or those whose paths have a
 * part.
 */
export async function runSuite(
  {server, node}: Combination,
  projects: readonly string[],
  files: readonly string[],
): Promise<Outcome> {
  const folder = mkdtempSync(join(tmpdir(), 'ayb-matrix-'))
  const reportFile = join(folder, 'report.json')
  const startedAt = performance.now()
  try {
    const {TEST_DATABASE_URL: _, ...env} = inherited()
    const vitest = startProgram(
      join(node.binDir, 'node'),
      [
        join(rootFolder, 'node_modules', 'vitest', 'vitest.mjs'),
        'run',
        ...files,
        '--config=test/vitest.config.ts',
        ...projects.map((project) => `--project=${project}`),
        '--reporter=default',
        '--reporter=json',
        `--outputFile.json=${reportFile}`,
      ],
      {
        cwd: rootFolder,
        env: {
          ...env,
          // What the tests start by name, npm for one, runs on it too.
          PATH: [node.binDir, process.env.PATH].join(delimiter),
          AYB_TEST_POSTGRES: server.binDir,
        },
      },
    )
    const code = await vitest.ended
    const output = vitest.output()
    const report = readReport(reportFile)
    const seen = [...output.matchAll(SEEN)]
    const failures = [
      ...whatFailed(report),
      ...wrongVersions(
        {server, node},
        seen.map(([, postgres, version]) => [postgres ?? '', version ?? '']),
      ),
    ]
    if (code !== 0 && failures.length === 0) failures.push(`Vitest ended with ${code}`)
    return {
      postgres: seen[0]?.[1] ?? null,
      node: seen[0]?.[2] ?? null,
      passed: report?.numPassedTests ?? 0,
      failed: report?.numFailedTests ?? 0,
      skipped: report?.numPendingTests ?? 0,
      seconds: (performance.now() - startedAt) / 1000,
      failures,
      log: output,
    }
  } finally {
    rmSync(folder, {recursive: true, force: true})
  }
}

/** Keeps what was printed, for whoever looks into a failure. Returns where. */
export function keepLog({server, node}: Combination, log: string): string {
  const file = join(tmpdir(), 'ayb-matrix-logs', `postgres-${server.major}-node-${node.major}.log`)
  mkdirSync(dirname(file), {recursive: true})
  writeFileSync(file, log)
  return file
}

function readReport(file: string): Report | null {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Report
  } catch {
    return null
  }
}

function whatFailed(report: Report | null): string[] {
  if (report === null) return ['Vitest left no report']
  return report.testResults.flatMap(({name, status, message, assertionResults}) => {
    const file = name.replace(`${rootFolder}/`, '')
    const failed = assertionResults.filter((test) => test.status === 'failed')
    if (failed.length === 0) return status === 'failed' ? [`${file}: ${firstLine(message)}`] : []
    return failed.map(
      ({fullName, failureMessages}) => `${file}: ${fullName}: ${firstLine(failureMessages?.[0] ?? '')}`,
    )
  })
}

const firstLine = (text: string): string => text.split('\n')[0] ?? ''

/** A matrix whose tests all ran on one server would be green for nothing. */
function wrongVersions({server, node}: Combination, seen: readonly [string, string][]): string[] {
  if (seen.length === 0) return ['the tests did not say what they ran on']
  return seen
    .filter(
      ([postgres, version]) => Number.parseInt(postgres, 10) !== server.major || version !== node.version,
    )
    .map(([postgres, version]) => `the tests ran on PostgreSQL ${postgres} and Node.js ${version}`)
}
