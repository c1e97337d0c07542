// esbuild plugins that make starts faster, keep a start from failing, and mend the help of oclif. Not shipped.
import {readFileSync} from 'node:fs'
import {builtinModules, createRequire} from 'node:module'

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
      return isPackage ? {path: 'os', namespace: 'account-if-any'} : undefined
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
 * An import of a module of Node.js reads each of its exports, and some exports load further modules when they
 * are read: those of node:fs and node:util load six. With this plugin, the code reads only the exports that it
 * uses, which saves 4 ms of each start.
 */
const builtinsInPart = {
  name: 'builtins-in-part',
  setup({onLoad, onResolve}) {
    onResolve({filter: /^(node:)?[a-z_]+(\/[a-z]+)?$/}, ({kind, path, namespace}) => {
      const name = path.replace(/^node:/, '')
      const isImport = kind === 'import-statement' && namespace === 'file'
      return isImport && builtinModules.includes(name) ? {path: name, namespace: 'builtin'} : undefined
    })
    onLoad({filter: /.*/, namespace: 'builtin'}, ({path}) => {
      const names = Object.keys(process.getBuiltinModule(path)).filter(
        (name) => /^\w+$/.test(name) && name !== 'default',
      )
      const contents = [
        `const builtin = process.getBuiltinModule('node:${path}')`,
        'const part = (name) => builtin[name]',
        'export default builtin',
        ...names.map((name) => `export const ${name} = /* @__PURE__ */ part('${name}')`),
      ]
      return {contents: contents.join('\n')}
    })
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
      if (/util[/\\]fs\.js$/.test(path)) {
        // Reads the manifest, and looks twice for a theme: node:fs/promises takes 1 ms to load, and then goes through
        // other threads.
        contents = replaced(
          contents,
          "await (0, promises_1.readFile)(path, 'utf8')",
          "(0, node_fs_1.readFileSync)(path, 'utf8')",
        )
      }
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
      if (/help[/\\]command\.js$/.test(path)) {
        // The usage is wrapped before this gives way to the name of the command, which may be longer.
        contents = replaced(contents, "theme?.command, '<%= command.id %>'", 'theme?.command, configuredId')
      }
      if (/help[/\\]formatter\.js$/.test(path)) {
        // The rows are indented by two columns more than they are wrapped for.
        contents = replaced(contents, 'opts.indentation + 2), 4)', 'opts.indentation + 4), 4)')
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
 * oclif's debug output prints the command line, and with that the password of --database-url. The package for
 * debug output takes 3 ms to load. So oclif gets a function that prints nothing instead.
 */
const oclifInSilence = {
  name: 'oclif-in-silence',
  setup({onLoad, onResolve}) {
    onResolve({filter: /^debug$/}, ({resolveDir}) =>
      /@oclif[/\\]core/.test(resolveDir) ? {path: 'debug', namespace: 'silence'} : undefined,
    )
    onLoad({filter: /.*/, namespace: 'silence'}, () => ({
      contents: 'module.exports = () => Object.assign(() => {}, {enabled: false})',
    }))
  },
}

/** Packages that oclif needs for help and errors alone: 85 kB, which no other start has to read. */
const APART = [
  'ansi-escapes',
  'ansis',
  'clean-stack',
  'cli-spinners',
  'ejs',
  'indent-string',
  'supports-color',
  'widest-line',
  'wordwrap',
  'wrap-ansi',
]

/** The folder of these packages, beside that of the chunks. */
export const PACKAGES = 'packages'

/** The entry points of the bundles of the packages that have files of their own. */
export function packagesApart() {
  const fromHere = createRequire(import.meta.url)
  const fromOclif = createRequire(fromHere.resolve('@oclif/core'))
  return Object.fromEntries([
    ...APART.map((name) => [name, fromOclif.resolve(name)]),
    ...Object.keys(ON_USE).map((name) => [name, fromHere.resolve(name)]),
  ])
}

const oclifLoadsApart = {
  name: 'oclif-loads-apart',
  setup({onResolve}) {
    onResolve({filter: /^[a-z-]+$/}, ({path, resolveDir}) =>
      /@oclif[/\\]core[/\\]lib/.test(resolveDir) && APART.includes(path)
        ? {path: `../${PACKAGES}/${path}.cjs`, external: true}
        : undefined,
    )
  },
}

/**
 * Packages of which src imports one function that most starts never call: a call of the function loads the
 * package from a file of its own. string-width makes a segmenter and the set of all emoji as it loads, 40 ms;
 * chalk takes 2 ms.
 */
const ON_USE = {
  chalk: 'export function Chalk(options) { return new (load().Chalk)(options) }',
  'string-width': 'export default (text, options) => load().default(text, options)',
}

const packagesOnUse = {
  name: 'packages-on-use',
  setup({onLoad, onResolve}) {
    const namespace = 'on-use'
    onResolve({filter: /^(chalk|string-width)$/}, ({path, kind, resolveDir}) =>
      kind === 'import-statement' && !/[/\\]node_modules[/\\]/.test(resolveDir)
        ? {path, namespace}
        : undefined,
    )
    onResolve({filter: /.*/, namespace}, ({path}) => ({path, external: true}))
    onLoad({filter: /.*/, namespace}, ({path}) => ({
      contents: `const load = () => require('../${PACKAGES}/${path}.cjs')\n${ON_USE[path]}`,
    }))
  },
}

/**
 * ayb does the log-in itself, and refuses any that a server asks for later: so pg's own log-in, which
 * loads node:crypto for 2 to 4 ms, never runs.
 */
const driverWithoutLogin = {
  name: 'driver-without-login',
  setup({onLoad}) {
    const parts = ["require('./crypto/sasl')", "require('./crypto/utils')", "require('pgpass')"]
    onLoad({filter: /[/\\]pg[/\\]lib[/\\]client\.js$/}, ({path}) => ({
      contents: parts.reduce((contents, part) => replaced(contents, part, '{}'), readFileSync(path, 'utf8')),
    }))
  },
}

/** A text of a package with a part of it replaced; a version without that part stops the build. */
function replaced(contents, part, replacement) {
  if (!contents.includes(part)) throw new Error(`a package changed: ${part} is not in it any more`)
  return contents.replace(part, () => replacement)
}

export const startUpPlugins = [
  globalProcess,
  accountIfAny,
  builtinsInPart,
  oclifOnUse,
  oclifInSilence,
  oclifLoadsApart,
  packagesOnUse,
  driverWithoutLogin,
]
