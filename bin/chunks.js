// Decides which files share a chunk. Not shipped.
import {readFileSync} from 'node:fs'
import {join, relative} from 'node:path'

/** What each start loads first. */
const MAIN = 'src/cli/main.ts'

/** The share of all commands that makes a file common. */
const COMMON_SHARE = 0.6

/** The commands that people run most often. */
const FREQUENT = ['src/commands/matviews/list.ts', 'src/commands/matviews/refresh.ts']

/**
 * esbuild puts two files into one chunk only if exactly the same entries load both, so it makes many small
 * chunks. Each chunk costs half a millisecond of a start. With this plugin, an entry that loads one file of a
 * group loads the whole group. The first group has the files that each start or most commands load. Each
 * frequent command has a group of the other files that it loads. `outputs` is the metafile of a build without
 * the plugin.
 */
export function fewChunks({outputs}) {
  const entries = Object.keys(outputs).filter((path) => outputs[path].entryPoint?.startsWith('src/'))
  const loadedBy = new Map(entries.map((path) => [outputs[path].entryPoint, loadedInputs(outputs, path)]))
  const groups = groupsOf(loadedBy)
  const added = new Map(
    [...loadedBy].map(([entry, loaded]) => [
      entry,
      groups.filter((group) => group.some((input) => loaded.has(input))).flat(),
    ]),
  )
  return {
    name: 'few-chunks',
    setup({initialOptions: {absWorkingDir}, onLoad}) {
      onLoad({filter: /[/\\]src[/\\].*\.ts$/}, ({path}) => {
        const entry = relative(absWorkingDir, path).replaceAll('\\', '/')
        const imports = (added.get(entry) ?? [])
          .filter((input) => input !== entry)
          .map((input) => `import ${JSON.stringify(specifierOf(input, absWorkingDir))}\n`)
        if (imports.length === 0) return undefined
        return {contents: `${readFileSync(path, 'utf8')}\n${imports.join('')}`, loader: 'ts'}
      })
    },
  }
}

/** The groups, as lists of inputs. No input is in two groups. */
function groupsOf(loadedBy) {
  const commands = [...loadedBy].filter(([entry]) => entry.startsWith('src/commands/'))
  const loaders = new Map()
  for (const [, loaded] of commands) {
    for (const input of loaded) loaders.set(input, (loaders.get(input) ?? 0) + 1)
  }
  const gone = FREQUENT.filter((entry) => !loadedBy.has(entry))
  if (gone.length > 0) throw new Error(`FREQUENT names ${gone.join(' and ')}, which is no command`)
  const isCommon = (input) => loaders.get(input) >= COMMON_SHARE * commands.length
  const common = new Set([...loadedBy.get(MAIN), ...[...loaders.keys()].filter(isCommon)])
  const grouped = new Set([MAIN])
  return [common, ...FREQUENT.map((entry) => loadedBy.get(entry))].map((inputs) => {
    const group = [...inputs].filter((input) => MOVABLE.test(input) && !grouped.has(input)).sort()
    for (const input of group) grouped.add(input)
    return group
  })
}

/** Files of src, and the stand-ins for modules of Node.js and packages that src imports. */
const MOVABLE = /^(src\/(?!commands\/)|builtin:|on-use:)/

/** What an entry imports to load an input. */
const specifierOf = (input, root) =>
  input.startsWith('src/') ? join(root, input) : input.replace(/^builtin:/, 'node:').replace(/^on-use:/, '')

/** The files that an output loads at once. */
function loadedInputs(outputs, path, loaded = new Set(), seen = new Set()) {
  if (seen.has(path)) return loaded
  seen.add(path)
  const {inputs, imports} = outputs[path]
  for (const input of Object.keys(inputs)) loaded.add(input)
  for (const {kind, external, path: next} of imports) {
    if (kind === 'import-statement' && !external) loadedInputs(outputs, next, loaded, seen)
  }
  return loaded
}
