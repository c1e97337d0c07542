import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {afterEach, beforeEach, describe, expect, test} from 'vitest'
import {compileCacheFolder} from '../../../src/cli/compile-cache.ts'

let home: string
/** Of somebody else, neither root nor whoever runs the tests. */
const SOMEBODY = 12_345

beforeEach(() => {
  // Below the folder of temporary files, to which all can add.
  home = realpathSync(mkdtempSync(join(tmpdir(), 'ayb-compile-cache-')))
})

afterEach(() => rmSync(home, {recursive: true, force: true}))

/** Makes a folder below home with just that mode, whatever the umask. */
function make(path: string, mode: number): string {
  const folder = join(home, path)
  mkdirSync(folder, {recursive: true})
  chmodSync(folder, mode)
  return folder
}

const modeOf = (path: string) => statSync(join(home, path)).mode & 0o7777

describe('compiled code is kept', () => {
  test('below the home folder, in folders that nobody else may enter', () => {
    chmodSync(home, 0o755)
    const folder = join(home, '.cache', 'ayb', 'compiled')
    expect(compileCacheFolder({HOME: home})).toBe(folder)
    for (const path of ['.cache', '.cache/ayb', '.cache/ayb/compiled']) expect(modeOf(path)).toBe(0o700)
    // And there again the next time.
    expect(compileCacheFolder({HOME: home})).toBe(folder)
  })

  test('where XDG_CACHE_HOME says', () => {
    const cache = make('elsewhere', 0o755)
    expect(compileCacheFolder({HOME: home, XDG_CACHE_HOME: cache})).toBe(join(cache, 'ayb', 'compiled'))
    expect(existsSync(join(home, '.cache'))).toBe(false)
  })

  test('where a symbolic link leads, under the real name', () => {
    const cache = make('elsewhere', 0o755)
    symlinkSync(cache, join(home, '.cache'))
    expect(compileCacheFolder({HOME: home})).toBe(join(cache, 'ayb', 'compiled'))
  })
})

describe('compiled code is not kept', () => {
  test.each([
    ['.', 0o777],
    ['.', 0o770],
    ['.', 0o1777],
    ['.cache', 0o777],
    ['.cache', 0o775],
    ['.cache', 0o757],
    ['.cache', 0o1777],
    ['.cache/ayb', 0o777],
    ['.cache/ayb', 0o1777],
    ['.cache/ayb/compiled', 0o777],
    // Folders in it are as open as the umask was when Node made them.
    ['.cache/ayb/compiled', 0o755],
  ])('where others can write to it: %s with mode %o', (path, mode) => {
    make(path, mode)
    expect(compileCacheFolder({HOME: home})).toBeNull()
    if (path !== '.cache/ayb/compiled') expect(existsSync(join(home, path, 'compiled'))).toBe(false)
  })

  test('where others can replace a folder above it', () => {
    make('open', 0o777)
    const inner = make('open/home', 0o700)
    expect(compileCacheFolder({HOME: inner})).toBeNull()
    expect(compileCacheFolder({XDG_CACHE_HOME: inner})).toBeNull()
    make('open', 0o1777)
    expect(compileCacheFolder({HOME: inner})).toBe(join(inner, '.cache', 'ayb', 'compiled'))
  })

  test('where a symbolic link leads to what others can write to', () => {
    const cache = make('elsewhere', 0o777)
    symlinkSync(cache, join(home, '.cache'))
    expect(compileCacheFolder({HOME: home})).toBeNull()
    symlinkSync(join(home, 'nowhere'), join(home, 'dangling'))
    expect(compileCacheFolder({XDG_CACHE_HOME: join(home, 'dangling')})).toBeNull()
    expect(existsSync(join(home, 'nowhere'))).toBe(false)
  })

  test.runIf(process.getuid?.() === 0).each(['.', '.cache', '.cache/ayb', '.cache/ayb/compiled'])(
    'where somebody else owns %s',
    (path) => {
      chownSync(make(path, 0o700), SOMEBODY, SOMEBODY)
      expect(compileCacheFolder({HOME: home})).toBeNull()
    },
  )

  test('in a home folder that others could have made', () => {
    const open = make('open', 0o1777)
    expect(compileCacheFolder({HOME: join(open, 'home')})).toBeNull()
    expect(existsSync(join(open, 'home'))).toBe(false)
  })

  test('where there is no home, or it is no folder', () => {
    for (const HOME of [undefined, '', 'relative', '/dev/null']) expect(compileCacheFolder({HOME})).toBeNull()
    expect(compileCacheFolder({HOME: home, XDG_CACHE_HOME: 'relative'})).toBeNull()
  })

  test.each(['NODE_COMPILE_CACHE', 'NODE_DISABLE_COMPILE_CACHE'])('where %s says otherwise', (name) => {
    expect(compileCacheFolder({HOME: home, [name]: '1'})).toBeNull()
    expect(existsSync(join(home, '.cache'))).toBe(false)
  })
})
