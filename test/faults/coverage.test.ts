import {execFileSync} from 'node:child_process'
import {mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {build} from 'esbuild'
import {afterAll, expect, test} from 'vitest'
import {Programs} from '../support/coverage/programs.ts'
import {type FileReport, joinCoverage} from '../support/coverage/statements.ts'
import {coverageTable, rangesOf} from '../support/coverage/table.ts'

const SOURCE = `/** The sign of a number. */
export function sign(n: number): string {
  if (n < 0) return 'negative'
  if (n === 0) {
    return 'zero'
  }
  const name = n > 1000 ? 'large' : 'positive'
  return name
}

const never = (n: number): string => sign(-n)
if (process.argv.length > 3) throw new Error('one number')
process.stdout.write(process.argv.includes('never') ? never(1) : sign(Number(process.argv[2])))
`
/** The statements of the source, as vitest reports them. */
const STATEMENTS = [
  "if (n < 0) return 'negative'",
  "return 'negative'",
  "if (n === 0) {\n    return 'zero'\n  }",
  "return 'zero'",
  "const name = n > 1000 ? 'large' : 'positive'",
  'return name',
  'const never = (n: number): string => sign(-n)',
  'sign(-n)',
  "if (process.argv.length > 3) throw new Error('one number')",
  "throw new Error('one number')",
  "process.stdout.write(process.argv.includes('never') ? never(1) : sign(Number(process.argv[2])))",
]

const root = mkdtempSync(join(tmpdir(), 'ayb-test-coverage-'))
const source = join(root, 'src', 'sign.ts')
const program = join(root, 'dist', 'sign.js')
const folder = join(root, 'programs')

afterAll(() => rmSync(root, {recursive: true, force: true}))

/** Where a text of the source begins or ends. */
function positionOf(offset: number): {line: number; column: number} {
  const lines = SOURCE.slice(0, offset).split('\n')
  return {line: lines.length, column: lines.at(-1)?.length ?? 0}
}

/** What vitest reports when the test files ran those statements themselves. */
function reportOf(ran: string[] = []): FileReport {
  const spans = STATEMENTS.map((text) => {
    const start = SOURCE.indexOf(text)
    return {start: positionOf(start), end: positionOf(start + text.length)}
  })
  return {
    path: source,
    statementMap: Object.fromEntries(spans.entries()),
    s: Object.fromEntries(STATEMENTS.map((text) => (ran.includes(text) ? 1 : 0)).entries()),
  }
}

test('the coverage of programs and of test files is joined by the statements of src', async () => {
  mkdirSync(join(root, 'src'))
  writeFileSync(source, SOURCE)
  // As bin/build.js makes ayb.
  const minified = {minifyWhitespace: true, minifySyntax: true}
  await build({
    entryPoints: [source],
    outfile: program,
    bundle: true,
    format: 'esm',
    sourcemap: true,
    ...minified,
  })
  const programs = new Programs(folder, root)
  const run = (n: string) =>
    execFileSync(process.execPath, [program, n], {
      env: {NODE_V8_COVERAGE: folder},
      encoding: 'utf8',
    })

  expect(joinCoverage([reportOf()], programs.finish().places)).toMatchObject([{reached: 0}])
  expect(run('1')).toBe('positive')
  writeFileSync(join(folder, 'half.json'), '{"result": [')
  const first = programs.finish()
  expect(first.unreadable).toEqual(['half.json'])
  // esbuild makes one statement of the last two of the function.
  expect(joinCoverage([reportOf()], first.places)).toEqual([
    {path: source, reached: 6, total: 10, missedLines: [3, 5, 11, 12]},
  ])

  expect(run('-1')).toBe('negative')
  const second = programs.finish()
  expect(programs.count).toBe(2)
  expect(readdirSync(folder)).toEqual(['half.json'])
  expect(joinCoverage([reportOf()], second.places)).toMatchObject([{reached: 7, missedLines: [5, 11, 12]}])
  const joined = joinCoverage([reportOf(["return 'zero'"])], second.places)
  expect(joined).toMatchObject([{reached: 8, missedLines: [11, 12]}])
  expect(coverageTable(joined, root)).toContain('src/sign.ts   80.0 %         8/10  11-12')
})

test('a statement that the bundle lacks counts only when a test file ran it', () => {
  expect(joinCoverage([reportOf()], [])).toMatchObject([{reached: 0, total: 0}])
  expect(joinCoverage([reportOf(['return name'])], [])).toMatchObject([{reached: 1, total: 1}])
})

test('lines that follow each other are one range', () => {
  expect(rangesOf([3, 4, 5, 9, 11, 12])).toBe('3-5, 9, 11-12')
})
