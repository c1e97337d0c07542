// esbuild plugins that keep out of a start what most starts never use, and what can end a start. Not shipped.
import {readdirSync, readFileSync} from 'node:fs'
import {dirname, join} from 'node:path'

/**
 * Importing node:process reads every property of it, and opens stdin and stdout on the way: 30 ms of each
 * start.
 */
const globalProcess = {
  name: 'global-process',
  setup({onResolve, onLoad}) {
    // The kind: an import wants a module with a default, and require the object itself.
    onResolve({filter: /^(node:)?process$/}, ({kind}) => ({path: kind, namespace: 'global-process'}))
    onLoad({filter: /.*/, namespace: 'global-process'}, ({path}) => ({
      contents:
        path === 'require-call' ? 'module.exports = globalThis.process' : 'export default globalThis.process',
    }))
  },
}

/**
 * os.homedir() and os.userInfo() throw where the user id has no entry in the passwd database, as in
 * containers that run under an arbitrary id. oclif calls both while it starts, to find themes and to name the
 * shell, and clean-stack calls os.homedir() as it loads: so packages get "/", which Docker gives such users
 * for a home, and a user without a name.
 */
const accountIfAny = {
  name: 'account-if-any',
  setup({onLoad, onResolve}) {
    onResolve({filter: /^(node:)?os$/}, ({resolveDir, namespace}) => {
      const isPackage = namespace === 'file' && /[/\\]node_modules[/\\]/.test(resolveDir)
      return isPackage ? {path: 'os', namespace: 'account-if-any'} : {path: 'node:os', external: true}
    })
    onLoad({filter: /.*/, namespace: 'account-if-any'}, () => ({
      contents: `
        const os = require('node:os')
        const either = (ask, otherwise) => {
          try {
            return ask()
          } catch {
            return otherwise
          }
        }
        module.exports = {
          ...os,
          homedir: () => either(os.homedir, '') || '/',
          userInfo: (options) =>
            either(() => os.userInfo(options), {username: '', uid: -1, gid: -1, shell: null, homedir: '/'}),
        }`,
    }))
  },
}

/**
 * oclif's modules load all that they name, of which a command that the manifest knows needs the smaller part:
 * here each loads at its first use, 15 ms less.
 */
const oclifOnUse = {
  name: 'oclif-on-use',
  setup({onLoad, onResolve}) {
    const imports = /^(?:const|var) (\w+_\d+) = ((?:__import\w+\()?require\([^()]*\)\)?);$/gm
    onLoad({filter: /@oclif[/\\]core[/\\]lib[/\\].*\.js$/}, ({path}) => {
      let contents = readFileSync(path, 'utf8')
      for (const [statement, name, load] of contents.matchAll(imports)) {
        contents = contents
          .replace(statement, '')
          .replaceAll(new RegExp(`\\b${name}\\b`, 'g'), `(${name}())`)
          .concat(`\nfunction ${name}() { return ${load}; }`)
      }
      if (/config[/\\]plugin\.js$/.test(path)) {
        // The first localeCompare of a process reads the rules of the locale: 10 to 25 ms, for names in
        // ASCII.
        contents = replaced(contents, 'a.id.localeCompare(b.id)', '(a.id < b.id ? -1 : 1)')
      }
      if (/util[/\\]os\.js$/.test(path)) {
        // Tells the Linux of Windows from others, for the names of installers.
        contents = replaced(contents, "(await import('wsl-utils')).isWsl", 'false')
      }
      return {contents}
    })
    // For commands without a manifest, plugins, and files of settings: ayb has none.
    onResolve({filter: /^(tinyglobby|minimatch|lilconfig)$/}, ({path}) => ({path, namespace: 'unused'}))
    const contents = `throw new Error('oclif.manifest.json cannot be read: install ayb again')`
    onLoad({filter: /.*/, namespace: 'unused'}, () => ({contents}))
  },
}

/**
 * string-width makes a segmenter and the set of all emoji when it loads, 40 ms, which a text in ASCII never
 * needs.
 */
const widthOnUse = {
  name: 'width-on-use',
  setup({onLoad}) {
    const costly = {
      segmenter: 'new Intl.Segmenter()',
      rgiEmojiRegex: String.raw`/^\p{RGI_Emoji}$/v`,
    }
    onLoad({filter: /node_modules[/\\]string-width[/\\]index\.js$/}, ({path}) => {
      let contents = readFileSync(path, 'utf8')
      // Older ones, which other packages bring, have neither.
      if (!contents.includes('Intl.')) return undefined
      for (const [name, value] of Object.entries(costly)) {
        contents = replaced(contents, `const ${name} = ${value};`, `let made_${name};`)
        contents = contents.replaceAll(`${name}.`, () => `(made_${name} ??= ${value}).`)
      }
      return {contents}
    })
  },
}

/** Small files that nearly every start needs. */
const BASICS = [
  ...[
    'errors',
    'identifier',
    'records/jobs',
    'records/values',
    'outside-text',
    'duration',
    'printable',
    'timer',
  ].map((name) => `lib/${name}`),
  ...['width', 'time', 'status', 'text'].map((name) => `render/${name}`),
]

/**
 * The entries of bundles: the entry points, and the files that code imports when it needs them. Not the entry
 * that turns the compile cache on, because what it imports is compiled without the cache.
 */
function entriesOf({absWorkingDir, entryPoints}) {
  const src = join(absWorkingDir, 'src')
  const imported = readdirSync(src, {recursive: true})
    .filter((name) => name.endsWith('.ts'))
    .map((name) => join(src, name))
    .flatMap((file) =>
      [...readFileSync(file, 'utf8').matchAll(/\bimport\('(\.[^']+)'\)/g)].map(([, path]) =>
        join(dirname(file), path),
      ),
    )
  const entries = new Set([...entryPoints.map((entry) => join(absWorkingDir, entry)), ...imported])
  entries.delete(join(src, 'cli', 'compile-cache.ts'))
  return entries
}

/**
 * esbuild makes a chunk of all files that the same entries need, so that each small file that one entry does
 * without becomes a chunk of its own. Each file that is read costs half a millisecond, so here all entries
 * need the basics.
 */
const basicsInOneChunk = {
  name: 'basics-in-one-chunk',
  setup({initialOptions, onLoad}) {
    const src = join(initialOptions.absWorkingDir, 'src')
    const basics = BASICS.map((name) => join(src, `${name}.ts`))
    const entries = entriesOf(initialOptions)
    onLoad({filter: /[/\\]src[/\\].*\.ts$/}, ({path}) => {
      if (!entries.has(path) || basics.includes(path)) return undefined
      const imports = basics.map((file) => `import ${JSON.stringify(file)}\n`)
      return {contents: `${readFileSync(path, 'utf8')}\n${imports.join('')}`, loader: 'ts'}
    })
  },
}

/** A text of a package with a part of it replaced; a version without that part stops the build. */
function replaced(contents, part, replacement) {
  if (!contents.includes(part)) throw new Error(`a package changed: ${part} is not in it any more`)
  return contents.replace(part, () => replacement)
}

export const startUpPlugins = [globalProcess, accountIfAny, oclifOnUse, widthOnUse, basicsInOneChunk]
