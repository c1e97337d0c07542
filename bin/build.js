// Builds dist/: type check, then one bundle a command with shared chunks. Not shipped.
import {spawnSync} from 'node:child_process'
import {
  copyFileSync,
  cpSync,
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import {createRequire} from 'node:module'
import {dirname, join, relative} from 'node:path'
import {fileURLToPath} from 'node:url'
import {fewChunks} from './chunks.js'
import {PACKAGES, packagesApart, startUpPlugins} from './start-up-plugins.js'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const dist = join(root, 'dist')
/** The dashboard's part that runs in browsers. */
const client = join(root, 'src', 'http', 'dashboard', 'client')
const require = createRequire(import.meta.url)

const missing = ['typescript', 'esbuild'].filter((name) => !isInstalled(name))
if (missing.length > 0) {
  const what = `ayb cannot be built: ${missing.join(' and ')} not installed (are development packages omitted?).`
  if (existsSync(join(dist, 'cli', 'main.js'))) {
    process.stderr.write(`${what} The build that is in dist/ stays.\n`)
    process.exit(0)
  }
  process.stderr.write(
    `${what} Run npm ci with development packages; npm prune --omit=dev removes them afterwards.\n`,
  )
  process.exit(1)
}

function isInstalled(name) {
  try {
    require.resolve(`${name}/package.json`)
    return true
  } catch {
    return false
  }
}

function typeCheck() {
  const tsc = join(dirname(require.resolve('typescript/package.json')), 'bin', 'tsc')
  for (const project of [root, client]) {
    const {status} = spawnSync(process.execPath, [tsc, '--noEmit', '-p', project], {stdio: 'inherit'})
    if (status !== 0) process.exit(status ?? 1)
  }
}

/** Lines that CommonJS inside an ES module needs. `use` matches the code of a file that needs the line. */
const COMMONJS_NAMES = [
  {
    line: "const require = process.getBuiltinModule('node:module').createRequire(import.meta.url)",
    use: /\btypeof require\b/,
  },
  {line: 'const {filename: __filename, dirname: __dirname} = import.meta', use: /\b__(filename|dirname)\b/},
]

/** How src becomes dist. */
const bundleOptions = {
  absWorkingDir: root,
  outbase: 'src',
  bundle: true,
  splitting: true,
  chunkNames: 'chunks/[name]-[hash]',
  format: 'esm',
  platform: 'node',
  target: 'node20.19',
  sourcemap: true,
  // Each start has less to read. Names stay as they are, so that stacks in bug reports can be read.
  minifyWhitespace: true,
  minifySyntax: true,
  legalComments: 'external',
  // pg asks for these only where they are installed.
  external: ['pg-native', 'pg-cloudflare'],
  // pg looks for Cloudflare by making a Response, for which Node loads all of fetch: 50 ms of each start.
  define: {Response: 'undefined'},
  plugins: startUpPlugins,
  banner: {js: COMMONJS_NAMES.map(({line}) => line).join('\n')},
  logLevel: 'warning',
}

async function bundle() {
  const {build} = await import('esbuild')
  const src = join(root, 'src')
  const commands = readdirSync(join(src, 'commands'), {recursive: true, withFileTypes: true})
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)))
  // A folder of its own, moved into place when whole: a build that fails or runs twice at once never
  // leaves a dist/ that is half old.
  const fresh = join(root, `.dist-${process.pid}`)
  try {
    const options = {...bundleOptions, outdir: fresh}
    // A build of its own: the file runs before the compile cache is on, so it shares no chunk with others.
    await build({...options, entryPoints: ['src/cli/compile-cache.ts']})
    // A thread loads what it needs, and nothing of a command.
    await build({...options, entryPoints: ['src/http/api/file-thread.ts'], splitting: false})
    const entryPoints = [...commands, 'src/cli/main.ts']
    const {metafile} = await build({...options, entryPoints, write: false, metafile: true})
    await build({...options, entryPoints, plugins: [...startUpPlugins, fewChunks(metafile)]})
    dropUnusedNames(fresh)
    await bundlePackages(build, join(fresh, PACKAGES))
    await bundleDashboard(build, join(fresh, 'dashboard'))
    cpSync(join(src, 'help'), join(fresh, 'help'), {recursive: true})
    rmSync(dist, {recursive: true, force: true})
    renameSync(fresh, dist)
  } finally {
    rmSync(fresh, {recursive: true, force: true})
  }
}

/**
 * Most files use none of the names, which take a quarter of a millisecond for each file that a start loads. Line
 * numbers stay.
 */
function dropUnusedNames(folder) {
  for (const name of readdirSync(folder, {recursive: true}).filter((path) => path.endsWith('.js'))) {
    const path = join(folder, name)
    const lines = readFileSync(path, 'utf8').split('\n')
    const code = lines.filter((line) => COMMONJS_NAMES.every((names) => names.line !== line)).join('\n')
    const unused = COMMONJS_NAMES.filter(({use}) => !use.test(code)).map(({line}) => line)
    writeFileSync(path, lines.map((line) => (unused.includes(line) ? '' : line)).join('\n'))
  }
}

/** A bundle for each package that few starts need. */
const bundlePackages = (build, outdir) =>
  build({
    ...bundleOptions,
    outdir,
    entryPoints: packagesApart(),
    banner: {},
    splitting: false,
    format: 'cjs',
    outExtension: {'.js': '.cjs'},
  })

async function bundleDashboard(build, outdir) {
  await build({
    absWorkingDir: root,
    entryPoints: {app: join(client, 'main.tsx')},
    outdir,
    bundle: true,
    minify: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    tsconfig: join(client, 'tsconfig.json'),
    legalComments: 'external',
    logLevel: 'warning',
  })
  await build({
    absWorkingDir: root,
    entryPoints: [join(client, 'app.css')],
    outdir,
    bundle: true,
    minify: true,
    logLevel: 'warning',
  })
  for (const file of ['index.html', 'favicon.svg']) copyFileSync(join(client, file), join(outdir, file))
}

typeCheck()
await bundle()
