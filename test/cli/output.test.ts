import {spawnSync} from 'node:child_process'
import {existsSync} from 'node:fs'
import {expect, test} from 'vitest'
import {ayb} from '../support/ayb.ts'
import {programPath} from '../support/children.ts'
import {createTestDatabase} from '../support/database.ts'
import {register} from '../support/refresh.ts'
import {insertSchedule} from '../support/schedules.ts'

test.runIf(existsSync('/dev/full'))('a full disk is told in one line, without a stack', async () => {
  const db = await createTestDatabase()
  for (const flags of ['', ' --json']) {
    const line = `"${process.execPath}" "${programPath()}" matviews discover${flags} > /dev/full`
    const {status, stderr} = spawnSync('sh', ['-c', line], {
      encoding: 'utf8',
      env: {PATH: process.env.PATH, DATABASE_URL: db.url},
    })
    expect(stderr).toMatch(/^Error: cannot write to stdout: .*ENOSPC.*\n$/)
    expect(status).toBe(1)
  }
})

test('a warning is in the document with --json, and on stderr beside a list or a text', async () => {
  const db = await createTestDatabase({hasTables: true})
  await register(db, 'leaderboard')
  await insertSchedule(db, 'odd', {view: 'leaderboard', cron: 'now and then'})
  const again = ['matviews', 'register', 'leaderboard', '--if-not-exists', '--mode', 'concurrent']
  const [text, document, list] = [
    await ayb(again, db),
    await ayb([...again, '--json'], db),
    await ayb(['schedules', 'list', '--json'], db),
  ]
  expect([text.code, document.code, list.code]).toEqual([0, 0, 0])
  const {warnings} = document.json() as {warnings: string[]}
  expect(warnings).toEqual([expect.stringContaining('its mode stays standard')])
  expect(document.stderr).toBe('')
  expect(text.stderr).toBe(`Warning: ${warnings[0]}\n`)
  expect(list.json()).toMatchObject([{name: 'odd'}])
  expect(list.stderr).toMatch(/^Warning: the schedule odd never runs: .*\n$/)
})

test('an error is the same with --json and without, on the other stream', async () => {
  const url = 'postgres://nobody@127.0.0.1:1/nothing'
  for (const [args, code] of [
    [['matviews', 'list'], 6],
    [['matviews', 'list', '--sort', 'colour'], 2],
  ] as const) {
    const [text, document] = [await ayb([...args], {url}), await ayb([...args, '--json'], {url})]
    const {error} = document.json() as {error: {message: string; hint: string}}
    expect([text.code, document.code]).toEqual([code, code])
    expect([text.stdout, document.stderr]).toEqual(['', ''])
    const usage = code === 2 ? 'Usage: ayb matviews list [FLAGS]\n' : ''
    expect(text.stderr).toBe(`Error: ${error.message}\nHint: ${error.hint}\n${usage}`)
  }
})
