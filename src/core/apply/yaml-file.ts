// A file of YAML or JSON as a tree of maps and texts that know their places. Aliases and merge keys are
// followed here, each visit counted: a small file can stand for a huge document.

import {
  type Alias,
  isAlias,
  isMap,
  isNode,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  Scalar,
  visit,
  type YAMLError,
  type YAMLMap,
} from 'yaml'
import {type Place, Problems} from '../../lib/file-problems.ts'
import {shortened} from '../../lib/outside-text.ts'
import {FLAT, hintOf, messageOf, QUOTE_STAR, TOO_DEEP, withoutStacks} from './yaml-errors.ts'
import {parseText} from './yaml-text.ts'

/** Far more than anybody writes, aliases followed. */
const MOST_KEYS = 250_000

/** Where a key stands. */
export interface KeyPlace {
  place: Place
  /** The keys that lead there, and the key. */
  path: string
}

/** What a map says under one key. */
export interface Entry extends KeyPlace {
  key: string
  /** Whether YAML took double quotes off the key. */
  isInDoubleQuotes: boolean
  value: Node | null
}

/** An entry without its nodes, which hold the whole file in memory and cannot go from thread to thread. */
export const placeOf = ({place, path}: KeyPlace): KeyPlace => ({place, path})

/** A plain value, with its text as written. */
export interface Value {
  text: string
  kind: 'text' | 'number' | 'boolean'
}

/** Ends the reading of a file: its problems say why. */
class EndOfReading extends Error {}

export class YamlFile {
  readonly problems = new Problems()
  /** Null where the file is empty. */
  readonly root: Node | null = null
  readonly #lines = new LineCounter()
  readonly #targets = new Map<Alias, Node>()
  #keysLeft = MOST_KEYS

  constructor(text: string) {
    const {contents, problems} = withoutStacks(() => parseText(text, this.#lines))
    if (problems.length > 0) this.#tellErrors(problems, text.split('\n'))
    else {
      this.root = contents
      this.#followAliases()
    }
  }

  /**
   * Runs `work`, which reads the file; stops where the file turns out to stand for too much.
   * @throws FileProblems
   */
  read<T>(work: () => T): T | null {
    try {
      return work()
    } catch (error) {
      if (error instanceof EndOfReading) return null
      throw error
    }
  }

  placeOf(node: Node | null | undefined): Place {
    const {line, col} = this.#lines.linePos(node?.range?.[0] ?? 0)
    return {line: Math.max(line, 1), column: Math.max(col, 1)}
  }

  /** The entries of a map, merge keys included; none where the value is no map, which is a problem. */
  entries(node: Node | null, path: string, at: Place): Entry[] {
    const map = this.#follow(node)
    if (map === null || (isScalar(map) && map.value === null)) return []
    if (!isMap(map)) {
      this.problems.say(
        at,
        path,
        `${nameOf(path)} is ${kindOf(map)}, not a map of keys`,
        'write key: value, one to a line',
      )
      return []
    }
    return [...this.#entriesOf(map, path, new Set()).values()]
  }

  /** The plain values of a list, or of one without a list; null where one is none, which is a problem. */
  values(entry: Entry): Value[] | null {
    const node = this.#follow(entry.value)
    if (!isSeq(node)) {
      const value = this.value(entry)
      return value && [value]
    }
    const values: Value[] = []
    for (const item of node.items) {
      if (--this.#keysLeft < 0) this.#refuseSize()
      const value = this.value({...entry, value: isNode(item) ? item : null})
      if (value === null) return null
      values.push(value)
    }
    return values
  }

  /** The plain value; null where there is none, which is a problem. */
  value(entry: Entry): Value | null {
    const node = this.#follow(entry.value)
    if (isScalar(node) && node.value !== null) {
      if (typeof node.value === 'string') return {text: node.value, kind: 'text'}
      const text = node.source ?? String(node.value)
      if (typeof node.value === 'boolean') return {text, kind: 'boolean'}
      if (typeof node.value === 'number' || typeof node.value === 'bigint') return {text, kind: 'number'}
    }
    const what = node === null || isScalar(node) ? 'has no value' : `is ${kindOf(node)}, not a plain value`
    this.problems.say(
      entry.place,
      entry.path,
      `${entry.key} ${what}`,
      `write ${entry.key}: and a value, or leave the key out`,
    )
    return null
  }

  #entriesOf(map: YAMLMap, path: string, merging: Set<YAMLMap>): Map<string, Entry> {
    const own = new Map<string, Entry>()
    const merged: Map<string, Entry>[] = []
    merging.add(map)
    for (const {key: keyNode, value: valueNode} of map.items) {
      if (this.problems.isFull) throw new EndOfReading()
      if (--this.#keysLeft < 0) this.#refuseSize()
      const key = isNode(keyNode) ? this.#follow(keyNode) : null
      const value = isNode(valueNode) ? valueNode : null
      const place = this.placeOf(isNode(keyNode) ? keyNode : map)
      if (!isScalar(key) || key.value === null) {
        this.problems.say(place, path, 'a key is not a text', 'write key: value')
        continue
      }
      const text = typeof key.value === 'string' ? key.value : (key.source ?? String(key.value))
      if (text === '<<' && key.type === Scalar.PLAIN) {
        merged.push(...this.#mergedMaps(value, {path, place, merging}))
        continue
      }
      const entry: Entry = {
        key: text,
        isInDoubleQuotes: key.type === Scalar.QUOTE_DOUBLE,
        place,
        path: path === '' ? shortened(text, 100) : `${path}.${shortened(text, 100)}`,
        value,
      }
      if (own.has(text)) {
        this.problems.say(
          place,
          entry.path,
          `the key ${shown(text)} is there twice`,
          'leave one of the two out',
        )
      } else own.set(text, entry)
    }
    merging.delete(map)
    // Of merged maps an earlier one counts, and own keys before all.
    for (const entries of merged) {
      for (const [key, entry] of entries) if (!own.has(key)) own.set(key, entry)
    }
    return own
  }

  #mergedMaps(
    value: Node | null,
    {path, place, merging}: {path: string; place: Place; merging: Set<YAMLMap>},
  ): Map<string, Entry>[] {
    const node = this.#follow(value)
    const nodes = isSeq(node) ? node.items.map((item) => this.#follow(isNode(item) ? item : null)) : [node]
    return nodes.flatMap((each) => {
      if (isMap(each) && !merging.has(each)) return [this.#entriesOf(each, path, merging)]
      const why = isMap(each) ? 'would merge a map into itself' : 'is not a map'
      this.problems.say(
        place,
        path,
        `what << stands for ${why}`,
        'write <<: *name, where &name stands before a map',
      )
      return []
    })
  }

  #follow(node: Node | null): Node | null {
    if (!isAlias(node)) return node
    if (--this.#keysLeft < 0) this.#refuseSize()
    return this.#targets.get(node) ?? null
  }

  /** Notes what each alias stands for: the last anchor of that name before it. */
  #followAliases(): void {
    const anchors = new Map<string, Node>()
    try {
      visit(this.root, {
        Node: (_, node) => {
          const {anchor} = node as {anchor?: string}
          if (anchor !== undefined) anchors.set(anchor, node)
        },
        Alias: (_, alias) => {
          const target = anchors.get(alias.source)
          if (target) this.#targets.set(alias, target)
          else {
            this.problems.say(
              this.placeOf(alias),
              '',
              `nothing before it has the anchor &${shortened(alias.source, 50)}`,
              QUOTE_STAR,
            )
          }
        },
      })
    } catch (error) {
      if (!(error instanceof RangeError)) throw error
      this.problems.say({line: 1, column: 1}, '', TOO_DEEP, FLAT)
    }
  }

  /** One problem a line: what follows in the same line mostly follows from it. */
  #tellErrors(errors: readonly YAMLError[], lines: readonly string[]): void {
    const told = new Set<number>()
    for (const {pos, code, message} of errors) {
      const {line, col} = this.#lines.linePos(pos[0])
      const text = lines[line - 1] ?? ''
      if (told.has(line)) continue
      told.add(line)
      this.problems.say(
        {line: Math.max(line, 1), column: Math.max(col, 1)},
        '',
        messageOf(code, message),
        hintOf(text),
      )
    }
  }

  #refuseSize(): never {
    this.problems.say(
      {line: 1, column: 1},
      '',
      `the file stands for more than ${MOST_KEYS.toLocaleString('en-US')} keys, with its aliases`,
      'split the file, or use fewer aliases',
    )
    throw new EndOfReading()
  }
}

/** A path for a sentence. */
const nameOf = (path: string): string => (path === '' ? 'the file' : path)

const shown = (text: string): string => JSON.stringify(shortened(text, 100))

function kindOf(node: Node | null): string {
  if (isSeq(node)) return 'a list'
  if (isMap(node)) return 'a map'
  return 'a single value'
}
