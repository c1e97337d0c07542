// Runs a TypeScript program on any Node that the project supports: node test/support/run.js <entry>
// [argument…]
import {mkdirSync, readFileSync, renameSync, writeFileSync} from 'node:fs'
import {basename, dirname, join, resolve} from 'node:path'
import {fileURLToPath, pathToFileURL} from 'node:url'
import {build} from 'esbuild'

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))))
const [entry, ...args] = process.argv.slice(2)
if (entry === undefined) throw new Error('usage: node test/support/run.js <entry> [argument…]')

/** In the bundle, a file that looks for its neighbours finds those of its source. */
const sourceLocation = {
  name: 'source-location',
  setup({onLoad}) {
    onLoad({filter: /\.ts$/}, ({path}) => {
      const url = JSON.stringify(pathToFileURL(path).href)
      return {contents: readFileSync(path, 'utf8').replaceAll('import.meta.url', url), loader: 'ts'}
    })
  },
}

// Inside node_modules, so that packages are found.
const cache = join(root, 'node_modules', '.cache', 'ayb')
const file = join(cache, basename(entry).replace(/\.ts$/, '.js'))

const bundle = await build({
  entryPoints: [resolve(entry)],
  bundle: true,
  packages: 'external',
  platform: 'node',
  target: 'node20',
  format: 'esm',
  sourcemap: 'inline',
  outfile: file,
  write: false,
  plugins: [sourceLocation],
})

// Renamed, so that of two runs at once none reads half a file.
mkdirSync(cache, {recursive: true})
writeFileSync(`${file}.${process.pid}`, bundle.outputFiles[0].text)
renameSync(`${file}.${process.pid}`, file)

process.argv = [process.execPath, resolve(entry), ...args]
process.setSourceMapsEnabled(true)
await import(pathToFileURL(file).href)
