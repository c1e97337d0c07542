import {existsSync, mkdirSync, readdirSync, readFileSync, rmSync} from 'node:fs'
import {dirname, join, relative, resolve} from 'node:path'
import {fileURLToPath} from 'node:url'
import {eachMapping, TraceMap} from '@jridgewell/trace-mapping'

/** What V8 says of one script: how often each range of its text ran. Inner ranges hold against outer ones. */
interface ScriptCoverage {
  url: string
  functions: {ranges: Range[]}[]
}

interface Range {
  startOffset: number
  endOffset: number
  count: number
}

/** A place in a file of src, its line counted from 1 and its column from 0, and whether a program ran it. */
export interface Place {
  file: string
  line: number
  column: number
  isReached: boolean
}

interface Script {
  /** In the order of the offsets. */
  places: {offset: number; place: Place}[]
}

const POLL_MS = 1000

/**
 * What the programs of a test run reached in src. Each program writes its coverage into `folder` when it
 * ends, about 2 MB, so the files are read and deleted while the tests go on. A program that is killed writes
 * nothing.
 */
export class Programs {
  /** How many programs wrote their coverage. */
  count = 0
  readonly #folder: string
  readonly #root: string
  readonly #scripts = new Map<string, Script | null>()
  #timer: NodeJS.Timeout | undefined

  /** Empties the folder. */
  constructor(folder: string, root: string) {
    this.#folder = folder
    this.#root = root
    rmSync(folder, {recursive: true, force: true})
    mkdirSync(folder, {recursive: true})
  }

  /** Reads what is there now and then, until {@link finish}. */
  start(): void {
    this.#timer = setInterval(() => this.#readAll(), POLL_MS)
  }

  /**
   * Reads the rest; returns the places of src that the built programs have, and the files that could not be
   * read.
   */
  finish(): {places: Place[]; unreadable: string[]} {
    clearInterval(this.#timer)
    this.#readAll()
    // A program that nobody ran counts, too.
    for (const path of javascriptFiles(join(this.#root, 'dist'))) this.#scriptOf(path)
    const places = [...this.#scripts.values()].flatMap(
      (script) => script?.places.map(({place}) => place) ?? [],
    )
    return {places, unreadable: readdirSync(this.#folder)}
  }

  #readAll(): void {
    for (const name of readdirSync(this.#folder)) {
      const file = join(this.#folder, name)
      const scripts = parse(readFileSync(file, 'utf8'))
      // Half written: there is another round.
      if (scripts === undefined) continue
      for (const script of scripts) this.#add(script)
      this.count += 1
      rmSync(file)
    }
  }

  #add({url, functions}: ScriptCoverage): void {
    if (!url.startsWith('file://')) return
    const script = this.#scriptOf(fileURLToPath(url))
    if (script)
      markReached(
        script,
        functions.flatMap(({ranges}) => ranges),
      )
  }

  /** Null where a script has nothing of src. */
  #scriptOf(path: string): Script | null {
    const known = this.#scripts.get(path)
    if (known !== undefined) return known
    const script = existsSync(`${path}.map`) ? readScript(path, join(this.#root, 'src')) : null
    this.#scripts.set(path, script)
    return script
  }
}

function parse(text: string): ScriptCoverage[] | undefined {
  try {
    return (JSON.parse(text) as {result: ScriptCoverage[]}).result
  } catch {
    return undefined
  }
}

const javascriptFiles = (folder: string): string[] =>
  readdirSync(folder, {recursive: true, encoding: 'utf8'})
    .filter((name) => name.endsWith('.js'))
    .map((name) => join(folder, name))

function readScript(path: string, src: string): Script | null {
  const lineStarts = [0]
  const text = readFileSync(path, 'utf8')
  for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n', end + 1)) lineStarts.push(end + 1)
  const places: Script['places'] = []
  eachMapping(new TraceMap(readFileSync(`${path}.map`, 'utf8')), (mapping) => {
    if (mapping.source === null) return
    const file = resolve(dirname(path), mapping.source)
    if (relative(src, file).startsWith('..')) return
    const place = {file, line: mapping.originalLine, column: mapping.originalColumn, isReached: false}
    places.push({offset: (lineStarts[mapping.generatedLine - 1] ?? 0) + mapping.generatedColumn, place})
  })
  return places.length === 0 ? null : {places}
}

/** Marks the places whose innermost range ran. */
function markReached({places}: Script, ranges: Range[]): void {
  // Ranges nest: sorted like this, each comes behind the ranges around it.
  const sorted = ranges.toSorted((a, b) => a.startOffset - b.startOffset || b.endOffset - a.endOffset)
  const open: Range[] = []
  let next = 0
  for (const {offset, place} of places) {
    for (let range = sorted[next]; range && range.startOffset <= offset; range = sorted[next]) {
      open.push(range)
      next += 1
    }
    while ((open.at(-1)?.endOffset ?? Number.POSITIVE_INFINITY) <= offset) open.pop()
    if ((open.at(-1)?.count ?? 0) > 0) place.isReached = true
  }
}
