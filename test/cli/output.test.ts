import {spawnSync} from 'node:child_process'
import {existsSync} from 'node:fs'
import {expect, test} from 'vitest'
import {programPath} from '../support/children.ts'
import {createTestDatabase} from '../support/database.ts'

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
