import {spawn} from 'node:child_process'
import {mkdirSync, readdirSync, rmSync, statSync, writeFileSync} from 'node:fs'
import {readFile} from 'node:fs/promises'
import {join} from 'node:path'
import {inspectProcess} from './processes.ts'
import {until} from './until.ts'

const BUILD_TIMEOUT_MS = 120_000
const INPUTS = ['src', 'bin', 'package.json', 'package-lock.json', 'tsconfig.json']

/**
 * Builds `dist/` unless it is newer than all it is made from: a build empties the folder, under the feet of
 * another test run.
 * @returns what the build printed where it failed, else null
 */
export async function ensureBuilt(root: string): Promise<string | null> {
  if (isFresh(root)) return null
  const lock = join(root, 'node_modules', '.cache', 'ayb', 'build.lock')
  await until(() => acquire(lock), {what: `another build to end (${lock})`, timeoutMs: BUILD_TIMEOUT_MS})
  try {
    return isFresh(root) ? null : await build(root)
  } finally {
    rmSync(lock, {force: true})
  }
}

function isFresh(root: string): boolean {
  const built = statSync(join(root, 'dist', 'cli', 'main.js'), {throwIfNoEntry: false})
  return built !== undefined && INPUTS.every((input) => newest(join(root, input)) < built.mtimeMs)
}

/**
 * When the file, or anything in the folder, was last changed; a folder counts for what was deleted from it.
 */
function newest(path: string): number {
  const stats = statSync(path, {throwIfNoEntry: false})
  if (!stats) return 0
  if (!stats.isDirectory()) return stats.mtimeMs
  return Math.max(stats.mtimeMs, ...readdirSync(path).map((name) => newest(join(path, name))))
}

async function acquire(lock: string): Promise<boolean> {
  mkdirSync(join(lock, '..'), {recursive: true})
  try {
    writeFileSync(lock, String(process.pid), {flag: 'wx'})
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
  const holder = Number(await readFile(lock, 'utf8').catch(() => ''))
  if (holder > 0 && inspectProcess(holder) === undefined) rmSync(lock, {force: true})
  return false
}

function build(root: string): Promise<string | null> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [join('bin', 'build.js')], {cwd: root})
    let output = ''
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (chunk: string) => {
        output += chunk
      })
    }
    child.once('error', reject)
    child.once('close', (code) => resolve(code === 0 ? null : output || `exit code ${code}`))
  })
}
