import {execFile, spawnSync} from 'node:child_process'
import {existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {promisify} from 'node:util'
import pg from 'pg'
import {afterAll, beforeAll, describe, expect, test} from 'vitest'
import {programPath} from '../support/children.ts'
import {freePort} from '../support/free-port.ts'
import {PACKAGE_ROOT} from '../support/manifest.ts'
import {type PostgresServer, startPostgres} from '../support/postgres.ts'
import {readmeBlocks, readmeFile} from '../support/readme.ts'
import {type Receiver, startReceiver} from '../support/receiver.ts'

/** pg_dump reads servers up to its own version: where there is one, that of the same Debian package. */
const dumpVersion = /\) (\d+)/.exec(spawnSync('pg_dump', ['--version'], {encoding: 'utf8'}).stdout ?? '')?.[1]
const binDir = `/usr/lib/postgresql/${dumpVersion}/bin`
const canDump = existsSync(join(binDir, 'postgres'))

/**
 * A service stays until the server is seen to listen or the worker to have started. Then a worker is ended as
 * Ctrl-C or systemd does, and a server goes on for the lines that follow.
 */
const AYB = `#!/bin/bash
ayb=("$NODE" "$PROGRAM")
case "$*" in
  worker | serve*)
    said='worker started'
    if [ "$1" = serve ]; then said='listening on'; fi
    : > service.log
    "\${ayb[@]}" "$@" >> service.log 2>&1 &
    pid=$!
    for ((turn = 0; turn < 300; turn++)); do
      grep -q "$said" service.log && break
      kill -0 $pid || { cat service.log; exit 1; }
      sleep 0.1
    done
    if [ "$1" = serve ]; then echo $pid > serve.pid; exit; fi
    kill -TERM $pid
    wait $pid
    ;;
  *) exec "\${ayb[@]}" "$@" ;;
esac
`
/** What is tried elsewhere, or cannot be tried: only how README calls it is looked at. */
const STAND_INS = ['npm', 'npx', 'dbt']
const STAND_IN = `#!/bin/sh
echo "$(basename "$0") $*" >> calls
`

const {version} = JSON.parse(readFileSync(join(PACKAGE_ROOT, 'package.json'), 'utf8')) as {version: string}
const PACKAGE = `ayb-${version}.tgz`

let folder: string
let server: PostgresServer
let receiver: Receiver
let port: number

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'ayb-readme-'))
  server = await startPostgres(canDump ? {binDir} : {})
  receiver = await startReceiver()
  port = await freePort()
  await ask('postgres', 'create database app')
  await ask('postgres', 'create database staging')
  writeFileSync(join(folder, 'ayb.yaml'), readmeFile('ayb.yaml'))
  writeFileSync(join(folder, 'ayb'), AYB, {mode: 0o755})
  for (const name of STAND_INS) writeFileSync(join(folder, name), STAND_IN, {mode: 0o755})
  writeFileSync(join(folder, 'environment'), '')
}, 60_000)

afterAll(async () => {
  const pid = join(folder, 'serve.pid')
  if (existsSync(pid)) process.kill(Number(readFileSync(pid, 'utf8')))
  await server?.stop()
  rmSync(folder, {recursive: true, force: true})
})

async function ask(database: string, sql: string): Promise<object[]> {
  const client = new pg.Client({connectionString: server.url(database)})
  await client.connect()
  try {
    return (await client.query(sql)).rows
  } finally {
    await client.end()
  }
}

/**
 * Pastes a block of README into a shell that knows what the blocks before have exported. `database` is where a backup
 * is restored, null for nowhere. With `stops`, the shell ends where a line fails, unlike the shell of a person.
 * @throws Error with what was printed, where a line fails
 */
function paste(text: string, {database = 'staging' as string | null, stops = true} = {}) {
  const here = text
    .replaceAll('postgres://user@localhost/database', `'${server.url('app')}'`)
    .replaceAll('https://hooks.example.com/ayb', receiver.url)
    .replaceAll('127.0.0.1:8090', `127.0.0.1:${port}`)
    .replaceAll('ayb serve --worker', `ayb serve --worker --listen 127.0.0.1:${port}`)
  const lines = [
    '. ./environment',
    `export STAGING_URL='${database === null ? '' : server.url(database)}'`,
    ...(stops ? ['set -eo pipefail', here, 'export -p > environment'] : [here]),
  ]
  const env = {
    PATH: `${folder}:${process.env.PATH}`,
    HOME: folder,
    NODE: process.execPath,
    PROGRAM: programPath(),
    // Whoever has it in production must not disable the schedules there.
    ...(text.includes('STAGING_URL') && {AYB_DATABASE_URL: server.url('app')}),
  }
  return promisify(execFile)('bash', ['-c', lines.join('\n')], {cwd: folder, timeout: 90_000, env})
}

describe('a block of README, pasted into a shell', {timeout: 100_000}, () => {
  for (const {section, text} of readmeBlocks('sh')) {
    const [firstLine] = text.split('\n')
    test.skipIf(text.includes('pg_dump') && !canDump)(`works: ${section}: ${firstLine}`, async () => {
      await paste(text)
    })
  }
})

describe('after all of them', () => {
  test('the sample of the quickstart is gone, and what the tasks made is there', async () => {
    expect(await ask('app', `select to_regclass('ayb_sample') as sample`)).toEqual([{sample: null}])
    expect(await ask('app', 'select name, enabled from _ayb_job_schedules order by name')).toEqual([
      {name: 'live', enabled: true},
      {name: 'nightly', enabled: true},
    ])
    expect(receiver.received.map(({body}) => JSON.parse(body).type)).toContain('notify.test')
  })

  test.skipIf(!canDump)('schedules are off in the copy of production, and its views are filled', async () => {
    const schedules = await ask('staging', 'select name, enabled from _ayb_job_schedules order by name')
    expect(schedules).toEqual([
      {name: 'live', enabled: false},
      {name: 'nightly', enabled: false},
    ])
    expect(
      await ask('staging', `select relname from pg_class where relkind = 'm' and not relispopulated`),
    ).toEqual([])
  })

  test.skipIf(!canDump)('schedules are off, too, where the restore met an error', async () => {
    await ask('postgres', 'create database remote')
    // The restore finds the table there already, as it would miss a role: it goes on, and ends with an error.
    await ask('app', 'create table clash (id int)')
    await ask('remote', 'create table clash (id int)')
    const [{text} = {text: ''}] = readmeBlocks('sh').filter(({text}) => text.includes('pg_restore'))
    const {stderr} = await paste(text, {database: 'remote', stops: false})
    expect(stderr).toContain('errors ignored on restore: 1')
    expect(await ask('remote', 'select name, enabled from _ayb_job_schedules order by name')).toEqual([
      {name: 'live', enabled: false},
      {name: 'nightly', enabled: false},
    ])
    expect(
      await ask('remote', `select relname from pg_class where relkind = 'm' and not relispopulated`),
    ).toEqual([])
    expect(await ask('app', 'select distinct enabled from _ayb_job_schedules')).toEqual([{enabled: true}])
  })

  test.skipIf(!canDump)('nothing is touched where nobody has said where to restore', async () => {
    const [{text} = {text: ''}] = readmeBlocks('sh').filter(({text}) => text.includes('pg_restore'))
    await expect(paste(text, {database: null, stops: false})).rejects.toMatchObject({
      stderr: expect.stringMatching(/STAGING_URL: parameter null or not set\n$/),
    })
    expect(await ask('app', 'select distinct enabled from _ayb_job_schedules')).toEqual([{enabled: true}])
  })

  test('the statement of ayb help install leaves nothing of ayb behind', async () => {
    const help = readFileSync(join(PACKAGE_ROOT, 'src', 'help', 'install.md'), 'utf8')
    const [drop = ''] = /drop table if exists [^;]*;/.exec(help) ?? []
    await ask('app', drop)
    const left = `select relname from pg_class where relname like '%ayb%'
                  union all select proname from pg_proc where proname like '%ayb%'
                  union all select typname from pg_type where typname like '%ayb%'`
    expect(await ask('app', left)).toEqual([])
  })

  test('other programs were called as they are meant to be', () => {
    expect(readFileSync(join(folder, 'calls'), 'utf8').trim().split('\n')).toEqual([
      'npm ci',
      'npm run demo',
      'npm ci',
      'npm test',
      'npm ci',
      'npm pack',
      `npm install --global ./${PACKAGE}`,
      `npx --yes ./${PACKAGE} list`,
      'dbt run --exclude config.materialized:materialized_view',
    ])
  })
})
