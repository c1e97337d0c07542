import {spawn, spawnSync} from 'node:child_process'
import {once} from 'node:events'
import {cpSync, mkdtempSync, readFileSync, rmSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {text} from 'node:stream/consumers'
import {afterAll, beforeAll, describe, expect, inject, test} from 'vitest'
import {parse} from 'yaml'
import {killAtEnd, programPath} from '../support/children.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {MANIFEST_FILE} from '../support/manifest.ts'
import {isOpenToAll} from '../support/postgres-binaries.ts'
import {readmeBlocks, readmeFile} from '../support/readme.ts'
import {TOKEN} from '../support/serve.ts'
import {until} from '../support/until.ts'

/** No account has that id. */
const UID = 10_001

/**
 * A root file system that nobody can write to, a user id without an account, and no variable but those that
 * follow.
 */
const CONTAINER = [
  '--mount',
  'sh',
  '-c',
  `mount -o remount,bind,ro / && exec setpriv --reuid=${UID} --regid=${UID} --clear-groups env -i "$@"`,
  'sh',
  `PATH=${process.env.PATH}`,
]

const refusal = spawnSync('unshare', [...CONTAINER, 'true'], {encoding: 'utf8'})

let db: TestDatabase
let program: string
let folder: string

/** Somebody without an account can read the program: a clone in a home folder may not be open to others. */
beforeAll(async () => {
  db = await createTestDatabase()
  program = programPath()
  folder = mkdtempSync(join(tmpdir(), 'ayb-container-'))
  if (isOpenToAll(inject('root'))) return
  cpSync(inject('root'), folder, {
    recursive: true,
    filter: (path) => !path.startsWith(join(inject('root'), 'node_modules')),
  })
  spawnSync('chmod', ['-R', 'a+rX', folder])
  program = join(folder, 'bin', 'run.js')
})

afterAll(() => rmSync(folder, {recursive: true, force: true}))

function start(variables: string[], args: string[]) {
  const child = spawn('unshare', [...CONTAINER, ...variables, process.execPath, program, ...args])
  const release = killAtEnd(() => child.kill('SIGKILL'))
  child.once('close', release)
  return child
}

async function run(variables: string[], args: string[]) {
  const child = start(variables, args)
  const [stdout, stderr, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close'),
  ])
  return {code, stdout, stderr}
}

describe.skipIf(refusal.status !== 0)(
  'a container with a user id of its own, and nothing to write to',
  () => {
    test('shows the version and every help', async () => {
      for (const home of [[], ['HOME=/'], ['HOME=']])
        expect(await run(home, ['--version'])).toMatchObject({code: 0, stderr: ''})
      const {commands} = JSON.parse(readFileSync(MANIFEST_FILE, 'utf8'))
      for (const id of Object.keys(commands)) {
        const {code, stdout} = await run([], [...id.split(':'), '--help'])
        expect(code).toBe(0)
        expect(stdout).toContain(`$ ayb ${id.replaceAll(':', ' ')}`)
      }
      expect(await run([], ['completion', 'bash'])).toMatchObject({code: 0, stderr: ''})
      expect(await run([], ['schedules', 'next', '@daily'])).toMatchObject({code: 0, stderr: ''})
    }, 120_000)

    test('says what psql says where no user is named', async () => {
      const psql = spawnSync('unshare', [...CONTAINER, 'psql', '--list'], {encoding: 'utf8'})
      const [, message] = /^psql: error: (.*)$/m.exec(psql.stderr) ?? []
      expect(message).toBe(`local user with ID ${UID} does not exist`)
      const {code, stderr} = await run([], ['matviews', 'list'])
      expect(code).toBe(6)
      expect(stderr).toContain(`Error: ${message}\n`)
      const document = await run(['HOME=/'], ['matviews', 'list', '--json'])
      expect(document).toMatchObject({code: 6, stderr: ''})
      expect(JSON.parse(document.stdout)).toMatchObject({error: {code: 'CONNECTION_FAILED', message}})
    })

    test('works', async () => {
      const {hostname, port, username, password} = new URL(db.url)
      const variables = [
        `PGHOST=${hostname}`,
        `PGPORT=${port}`,
        `PGUSER=${username}`,
        `PGPASSWORD=${password}`,
        `PGDATABASE=${db.name}`,
      ]
      for (const args of [
        ['migrate'],
        ['matviews', 'register', 'leaderboard'],
        ['matviews', 'refresh', 'leaderboard'],
        ['matviews', 'history', 'leaderboard', '--json'],
        ['schedules', 'create', '--name', 'daily', '--cron', '@daily', '--view', 'leaderboard'],
        ['schedules', 'run', 'daily'],
        ['worker', '--once'],
        ['jobs', 'stats', '--json'],
      ]) {
        const {code, stderr} = await run(variables, args)
        expect(code, `${args.join(' ')}: ${stderr}`).toBe(0)
      }
      const refused = await run(variables, ['matviews', 'refresh', 'nothing'])
      expect(refused).toMatchObject({code: 3, stdout: ''})
      expect(refused.stderr).not.toMatch(/ {4}at /)
      const ofServer = [...variables, `AYB_ADMIN_TOKEN=${TOKEN}`]
      await expectAnswers(ofServer, ['serve', '--worker', '--listen', '127.0.0.1:0'], ['/healthz'])
    }, 120_000)

    test('works with what README starts in a container, and answers its probes', async () => {
      const [dockerfile = {text: ''}] = readmeBlocks('dockerfile')
      const [, entry = '', command = ''] = /^ENTRYPOINT (.*)\nCMD (.*)$/m.exec(dockerfile.text) ?? []
      expect(JSON.parse(entry)).toEqual(['ayb'])
      const {image, read_only} = parse(readmeFile('compose.yaml')).services.ayb
      const [container] = parse(readmeFile('deployment.yaml')).spec.template.spec.containers
      expect({image, read_only}).toEqual({image: container.image.replace(/^.*\//, ''), read_only: true})
      expect(container.ports).toEqual([{name: 'metrics', containerPort: 9187}])
      const probes = [container.livenessProbe, container.readinessProbe].map(({httpGet}) => httpGet.path)
      for (const args of [JSON.parse(command) as string[], container.args as string[]]) {
        // The port is that of the container, of which this test has none.
        const free = args.map((arg) => arg.replace('0.0.0.0:9187', '0.0.0.0:0'))
        expect(free).not.toEqual(args)
        await expectAnswers([`AYB_DATABASE_URL=${db.url}`], free, probes)
      }
    }, 60_000)
  },
)

/** Starts a program that listens until it is told to end, and expects 200 at these paths. */
async function expectAnswers(variables: string[], args: string[], paths: string[]): Promise<void> {
  const child = start(variables, args)
  let printed = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      printed += chunk
    })
  const [, origin] = await until(() => /listening on (http:\/\/[^\s"]+)/.exec(printed), {
    what: 'it to listen',
    timeoutMs: 30_000,
  })
  for (const path of paths) {
    const isWell = async () => (await fetch(`${origin}${path}`)).status === 200
    await until(isWell, {what: `${path} to answer 200`})
  }
  child.kill()
  expect(await once(child, 'close'), printed).toEqual([0, null])
}
