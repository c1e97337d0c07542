// Runs tests and tells which statements of src they ran, in the test files themselves or in the programs that
// they started: npm run test:coverage -- [argument of vitest…]
import {spawn} from 'node:child_process'
import {once} from 'node:events'
import {readFileSync, writeFileSync} from 'node:fs'
import {dirname, join, relative} from 'node:path'
import {fileURLToPath} from 'node:url'
import {Programs} from './coverage/programs.ts'
import {type FileReport, joinCoverage} from './coverage/statements.ts'
import {coverageTable, rangesOf} from './coverage/table.ts'

const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))))
const FOLDER = join(ROOT, 'node_modules', '.cache', 'ayb', 'coverage')
const VITEST = join(ROOT, 'node_modules', 'vitest', 'vitest.mjs')

const programs = new Programs(join(FOLDER, 'programs'), ROOT)
programs.start()
const vitest = spawn(
  process.execPath,
  [
    VITEST,
    ...['run', '--config', 'test/vitest.config.ts', '--coverage.enabled', '--coverage.provider=v8'],
    // The client runs in browsers, which report elsewhere.
    ...['--coverage.include=src/**/*.ts', '--coverage.exclude=src/http/dashboard/client/**'],
    ...['--coverage.reporter=json', `--coverage.reportsDirectory=${join(FOLDER, 'tests')}`],
    '--coverage.reportOnFailure',
    ...process.argv.slice(2),
  ],
  {cwd: ROOT, stdio: 'inherit', env: {...process.env, AYB_TEST_COVERAGE: join(FOLDER, 'programs')}},
)
const [code] = await once(vitest, 'exit')
process.exitCode = code ?? 1

const {places, unreadable} = programs.finish()
const reports = JSON.parse(readFileSync(join(FOLDER, 'tests', 'coverage-final.json'), 'utf8'))
const files = joinCoverage(Object.values<FileReport>(reports), places)
const list = join(FOLDER, 'missed.txt')
writeFileSync(
  list,
  files
    .filter(({missedLines}) => missedLines.length > 0)
    .map(({path, missedLines}) => `${relative(ROOT, path)}: ${rangesOf(missedLines)}\n`)
    .toSorted()
    .join(''),
)
process.stdout.write(`
${coverageTable(files, ROOT)}
${programs.count} programs told what they ran${unreadable.length > 0 ? `, ${unreadable.length} ended in the middle of it` : ''}. Programs
that were killed, and those still running at the end of a test file, told nothing.
All lines: ${relative(ROOT, list)}
`)
