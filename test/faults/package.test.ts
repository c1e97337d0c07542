import {spawnSync} from 'node:child_process'
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
} from 'node:fs'
import {builtinModules} from 'node:module'
import {homedir, tmpdir, userInfo} from 'node:os'
import {dirname, join, sep} from 'node:path'
import {build} from 'esbuild'
import {publint} from 'publint'
import {afterAll, beforeAll, describe, expect, inject, it} from 'vitest'
import {programPath} from '../support/children.ts'
import {createTestDatabase} from '../support/database.ts'
import {generateManifest, MANIFEST_FILE, PACKAGE_ROOT} from '../support/manifest.ts'
import {readme, readmeBlocks} from '../support/readme.ts'

interface Packed {
  filename: string
  files: {path: string; mode: number}[]
}

const folder = mkdtempSync(join(tmpdir(), 'ayb-package-'))
afterAll(() => rmSync(folder, {recursive: true, force: true}))

/**
 * The output of a program that needs nothing of this process but PATH.
 * @throws Error where it fails
 */
function run(command: string, args: string[], cwd: string): string {
  const {error, status, stdout, stderr} = spawnSync(command, args, {
    cwd,
    encoding: 'utf8',
    timeout: 60_000,
    env: {PATH: process.env.PATH ?? '', HOME: folder},
  })
  if (error) throw error
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${status}:\n${stderr}${stdout}`)
  return stdout
}

const readJson = (path: string) => JSON.parse(readFileSync(path, 'utf8'))

let packed: Packed
/** The package as it is installed, without anything beside it. */
let unpacked: string

beforeAll(() => {
  programPath()
  const args = ['pack', '--json', '--ignore-scripts', '--pack-destination', folder]
  // A list until npm 11, from 12 on an object by package name.
  packed = Object.values(JSON.parse(run('npm', args, PACKAGE_ROOT)) as Record<string, Packed>)[0] as Packed
  const target = join(folder, 'empty')
  mkdirSync(target)
  run('tar', ['-xzf', join(folder, packed.filename), '-C', target], folder)
  unpacked = join(target, 'package')
})

describe('the package', () => {
  it('holds the program, its manifest, the README and the licence, and nothing else', async () => {
    const others = packed.files.map(({path}) => path).filter((path) => !path.startsWith('dist/'))
    expect(others.sort()).toEqual([
      'LICENSE',
      'README.md',
      'bin/run.js',
      'oclif.manifest.json',
      'package.json',
    ])
    const needed = await reachable()
    expect(needed).toContain('dist/cli/main.js')
    const notices = needed
      .map((path) => `${path}.LEGAL.txt`)
      .filter((path) => existsSync(join(unpacked, path)))
    const inDist = packed.files.map(({path}) => path).filter((path) => path.startsWith('dist/'))
    const dashboard = ['app.css', 'app.js', 'favicon.svg', 'index.html'].map(
      (name) => `dist/dashboard/${name}`,
    )
    const help = readdirSync(join(inject('root'), 'src', 'help')).map((name) => `dist/help/${name}`)
    expect(inDist.sort()).toEqual([...needed, ...notices, ...dashboard, ...help].sort())
  }, 60_000)

  it('has a program that can be executed', () => {
    const mode = packed.files.find(({path}) => path === 'bin/run.js')?.mode ?? 0
    expect(mode & 0o111).toBe(0o111)
  })

  it('has a file for each command of its manifest', () => {
    const {commands} = readJson(join(unpacked, 'oclif.manifest.json'))
    const files = Object.keys(commands).map((id) => `dist/commands/${id.replaceAll(':', '/')}.js`)
    const shipped = packed.files.map(({path}) => path).filter((path) => path.startsWith('dist/commands/'))
    expect(shipped.filter((path) => path.endsWith('.js')).sort()).toEqual(files.sort())
  })

  it('gives publint nothing to say', async () => {
    const {messages} = await publint({pkgDir: unpacked, pack: false})
    expect(messages).toEqual([])
  })

  it('tells nothing of the machine that it was built on', () => {
    // Short ones, /root or /app, are also words of other people's code.
    const isTelling = (path: string) => path.split(sep).length > 2
    const own = `${sep}${userInfo().username}${sep}`
    const telling = [own, ...[PACKAGE_ROOT, dirname(PACKAGE_ROOT), homedir(), tmpdir()].filter(isTelling)]
    const anyHome = /(?:file:\/\/\/|["'`(\s])(?:\/home|\/Users|[A-Z]:\\+Users)[/\\]+[\w.-]+[/\\]/
    for (const {path} of packed.files) {
      const text = readFileSync(join(unpacked, path), 'utf8')
      expect(
        telling.filter((part) => text.includes(part)),
        path,
      ).toEqual([])
      expect(text.match(anyHome)?.[0], path).toBeUndefined()
    }
  })

  // Some are bundled and need not be installed beside it.
  it('names each package that the program imports', async () => {
    const {metafile} = await build({
      absWorkingDir: PACKAGE_ROOT,
      entryPoints: sourceFiles(),
      outdir: folder,
      bundle: true,
      packages: 'external',
      platform: 'node',
      format: 'esm',
      write: false,
      metafile: true,
      logLevel: 'silent',
    })
    const imports = Object.values(metafile.inputs).flatMap(({imports}) => imports)
    const packages = imports.filter(({external}) => external).map(({path}) => packageOf(path))
    const {dependencies, devDependencies} = readJson(join(PACKAGE_ROOT, 'package.json'))
    expect(Object.keys({...dependencies, ...devDependencies})).toEqual(
      expect.arrayContaining(packages.filter((name) => name !== null)),
    )
    expect(packages).toContain('@oclif/core')
  })
})

describe('the manifest', () => {
  it('is the one of the commands as they are', async () => {
    programPath()
    const fresh = await generateManifest(inject('root'))
    expect(readFileSync(MANIFEST_FILE, 'utf8'), 'write it again: npm run manifest').toBe(fresh)
  })
})

describe('the program with nothing installed beside it', () => {
  const runAyb = (...args: string[]) =>
    run(process.execPath, [join(unpacked, 'bin', 'run.js'), ...args], folder)

  it('says its version', () => {
    const {version} = readJson(join(PACKAGE_ROOT, 'package.json'))
    expect(runAyb('--version')).toContain(`ayb/${version} `)
  })

  it('shows the help of everything that it has', () => {
    expect(runAyb('--help')).toContain('matviews')
    const {commands} = readJson(join(unpacked, 'oclif.manifest.json'))
    for (const id of Object.keys(commands)) {
      expect(runAyb(...id.split(':'), '--help')).toContain(`$ ayb ${id.replaceAll(':', ' ')}`)
    }
  }, 120_000)

  it('runs a command without a database', () => {
    expect(runAyb('completion', 'bash')).toContain('complete -F')
  })

  it('shows what is in a database', async () => {
    const {url} = await createTestDatabase()
    expect(runAyb('matviews', 'discover', '--database-url', url)).toContain('leaderboard')
    expect(runAyb('matviews', 'list', '--database-url', url, '--json')).toBe('[]\n')
  })
})

/** What npm needs to reach a registry that answers by a certificate of this machine. */
const certificates = ['NODE_EXTRA_CA_CERTS', 'SSL_CERT_FILE'].flatMap((name) =>
  process.env[name] === undefined ? [] : [`${name}=${process.env[name]}`],
)
const hasRegistry = spawnSync('npm', ['ping'], {timeout: 20_000}).status === 0
/** No account has that id, and nobody's variables are inherited. */
const STRANGER =
  process.getuid?.() === 0
    ? ['setpriv', '--reuid=10001', '--regid=10001', '--clear-groups', 'env', '-i']
    : ['env', '-i']

describe.skipIf(!hasRegistry)('in an empty folder of a user without an account', {timeout: 120_000}, () => {
  let place: string
  /** Runs a line of README there, with its `/tmp` and `/opt` in the folder. */
  const runHere = (line: string, ...more: string[]) => {
    const [command = '', ...args] = [
      ...STRANGER,
      `HOME=${place}`,
      `PATH=${process.env.PATH}`,
      ...certificates,
      ...more,
    ]
    const here = line.replaceAll(/(?<= )\/(tmp|opt)\//g, `${place}/$1/`)
    return run(command, [...args, 'sh', '-ec', here], place)
  }

  beforeAll(() => {
    place = mkdtempSync(join(tmpdir(), 'ayb-stranger-'))
    mkdirSync(join(place, 'tmp'))
    for (const target of [place, join(place, 'tmp')])
      cpSync(join(folder, packed.filename), join(target, packed.filename))
    for (const path of [place, join(place, 'tmp')]) chmodSync(path, 0o777)
  })
  afterAll(() => rmSync(place, {recursive: true, force: true}))

  it('runs without being installed, as README says', async () => {
    const {url} = await createTestDatabase({hasTables: true})
    const [line = ''] = readme().match(/^npx .*$/m) ?? []
    expect(line).toContain(packed.filename)
    expect(runHere(line, `DATABASE_URL=${url}`)).toBe('')
  })

  it('is installed as the Dockerfile of README does, and works', () => {
    const [, line = ''] = /^RUN (.*)$/m.exec(readmeBlocks('dockerfile')[0]?.text ?? '') ?? []
    expect(line).toContain(packed.filename)
    runHere(line)
    const {version} = readJson(join(PACKAGE_ROOT, 'package.json'))
    expect(runHere('exec /opt/ayb/bin/ayb --version')).toContain(`ayb/${version} `)
  })
})

/** What of dist/ is loaded, now or then, from the program and the commands of its manifest on. */
async function reachable(): Promise<string[]> {
  const {commands} = readJson(join(unpacked, 'oclif.manifest.json'))
  const files = Object.keys(commands).map((id) => `dist/commands/${id.replaceAll(':', '/')}.js`)
  const {metafile} = await build({
    absWorkingDir: unpacked,
    entryPoints: ['bin/run.js', 'dist/http/api/file-thread.js', ...files],
    outdir: folder,
    bundle: true,
    platform: 'node',
    format: 'esm',
    // Whatever else it imports, the test of the dependencies knows.
    packages: 'external',
    write: false,
    metafile: true,
    logLevel: 'silent',
  })
  const reached = Object.keys(metafile.inputs).filter((path) => path.startsWith('dist/'))
  // Packages that a chunk requires by itself.
  const apart = reached.flatMap((path) =>
    [...readFileSync(join(unpacked, path), 'utf8').matchAll(/"\.\.(\/packages\/[a-z-]+\.cjs)"/g)].map(
      ([, name]) => `dist${name}`,
    ),
  )
  return [...reached, ...new Set(apart)]
}

function sourceFiles(): string[] {
  const src = join(PACKAGE_ROOT, 'src')
  return (
    readdirSync(src, {recursive: true, encoding: 'utf8'})
      .filter((name) => name.endsWith('.ts'))
      .map((name) => join(src, name))
      // It is a bundle of its own, for browsers.
      .filter((path) => !path.startsWith(join(src, 'http', 'dashboard', 'client')))
  )
}

/** `@scope/name` of `@scope/name/file`; null for what comes with Node. */
function packageOf(specifier: string): string | null {
  if (specifier.startsWith('node:') || builtinModules.includes(specifier)) return null
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/')
}
