import {mkdirSync, mkdtempSync, readdirSync, rmSync, statSync} from 'node:fs'
import module from 'node:module'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {afterEach, beforeEach, expect, test} from 'vitest'
import {ayb} from '../support/ayb.ts'

// From 22.1 on; npm run test:matrix has such versions. Which folders will do is for test/unit/compile-cache.
const canCache = 'enableCompileCache' in module

let home: string

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'ayb-compile-cache-'))
})

afterEach(() => rmSync(home, {recursive: true, force: true}))

test.runIf(canCache)('compiled code is kept where nobody else can enter, whatever the umask', async () => {
  const umask = process.umask(0)
  const {code} = await ayb(['--version'], {home}).finally(() => process.umask(umask))
  expect(code).toBe(0)
  const cache = join(home, '.cache', 'ayb')
  expect(statSync(cache).mode & 0o7777).toBe(0o700)
  const kept = readdirSync(cache, {recursive: true, encoding: 'utf8'})
  expect(kept.filter((path) => path.startsWith('compiled/v')).length).toBeGreaterThan(2)
})

test.runIf(canCache)('compiled code is not kept in a folder that others can write to', async () => {
  const umask = process.umask(0)
  mkdirSync(join(home, '.cache'))
  process.umask(umask)
  expect((await ayb(['--version'], {home})).code).toBe(0)
  expect(readdirSync(home, {recursive: true})).toEqual(['.cache'])
})
