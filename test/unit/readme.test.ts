import {existsSync, readdirSync, readFileSync} from 'node:fs'
import {dirname, join} from 'node:path'
import {describe, expect, test} from 'vitest'
import {isHelpTopic} from '../../src/cli/help-topics.ts'
import {SYSTEM_TABLES} from '../../src/db/system.ts'
import {ERRORS} from '../../src/lib/errors.ts'
import {MANIFEST_FILE, PACKAGE_ROOT} from '../support/manifest.ts'
import {readme, readmeBlocks} from '../support/readme.ts'

interface Flag {
  name: string
  type: 'boolean' | 'option'
  char?: string
  allowNo?: boolean
  options?: string[]
}
interface Command {
  flags: Record<string, Flag>
  args: Record<string, {multiple?: boolean}>
}

const {commands} = JSON.parse(readFileSync(MANIFEST_FILE, 'utf8')) as {commands: Record<string, Command>}
const {version} = JSON.parse(readFileSync(join(PACKAGE_ROOT, 'package.json'), 'utf8')) as {version: string}
const HELP = join(PACKAGE_ROOT, 'src', 'help')
const TOPICS = readdirSync(HELP)
  .map((file) => file.replace('.md', ''))
  .filter((name) => name !== 'root')
const helpOf = (topic: string) => readFileSync(join(HELP, `${topic}.md`), 'utf8')

/** Short for those of matviews. */
const SHORT_WAYS = ['list', 'refresh', 'show', 'status']

/** The command lines of `ayb` in a shell text, up to what the shell takes for itself. */
function commandLines(text: string): string[] {
  const unfolded = text.replace(/\\\n */g, '').replace(/(^|\s)#.*$/gm, '')
  const line = /(?:^|[\s(])ayb((?: +(?:'[^']*'|"[^"]*"|[^\s|&;<>()'"]+))+)/gm
  return [...unfolded.matchAll(line)].map(([, words = '']) => words.trim())
}

const wordsOf = (line: string) =>
  [...line.matchAll(/'([^']*)'|"([^"]*)"|(\S+)/g)].map(
    ([, single, double, plain]) => single ?? double ?? plain ?? '',
  )

/** What is wrong with a command line, by the manifest; null where nothing is. */
function complaint(line: string): string | null {
  const words = wordsOf(line)
  const [first = ''] = words
  if (first === 'help')
    return [undefined, 'TOPIC'].includes(words[1]) || isHelpTopic(words[1]) ? null : 'no such topic'
  if (/^(COMMAND$|-|version$)/.test(first)) return null
  if (words.length === 1 && Object.keys(commands).some((id) => id.startsWith(`${first}:`))) return null
  if (SHORT_WAYS.includes(first)) words.unshift('matviews')
  const length = [2, 1].find((count) => commands[words.slice(0, count).join(':')] !== undefined)
  if (length === undefined) return 'no such command'
  const {flags, args} = commands[words.slice(0, length).join(':')] as Command
  const rest = words.slice(length)
  let values = 0
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    const [, name = '', value] = /^--?([^=]+)(?:=(.*))?$/.exec(word.startsWith('-') ? word : '') ?? []
    if (name === '') {
      values++
      continue
    }
    const flag = Object.values(flags).find(
      (other) => other.name === name || other.char === name || (other.allowNo && `no-${other.name}` === name),
    )
    if (flag === undefined) return `no such flag: ${word}`
    if (flag.type === 'boolean') continue
    const given = value ?? rest.shift()
    if (given === undefined) return `${word} wants a value`
    if (flag.options && !/^[A-Z]+$/.test(given) && !flag.options.includes(given))
      return `${word} is not ${given}`
  }
  const isMany = Object.values(args).some(({multiple}) => multiple)
  return values > Object.keys(args).length && !isMany ? 'too many arguments' : null
}

const headings = (text: string) =>
  [...text.replace(/^```.*?^```$/gms, '').matchAll(/^#+ (.*)$/gm)].map(([, title = '']) =>
    title
      .toLowerCase()
      .replace(/[^\w -]/g, '')
      .replaceAll(' ', '-'),
  )

const results = readFileSync(join(PACKAGE_ROOT, 'test', 'bench', 'RESULTS.md'), 'utf8').split('\n')
const lineOf = (words: string) => results.find((line) => line.startsWith(words)) ?? ''

/** What RESULTS.md measured of ayb, and its ratio to the other, in the first row that begins with these words. */
function measured(words: string): {figures: number[]; ratio: string} {
  const [, , , ayb = '', , ratio] = lineOf(words).split('|')
  const figures = [...ayb.matchAll(/\d+(\.\d+)?/g)].map(([figure]) => Number(figure))
  return {figures, ratio: Number(ratio).toFixed(1)}
}

describe('README', () => {
  test('has the figures of RESULTS.md, with the version and the disk that they were measured with', () => {
    const [, section = ''] = /^## How fast\n(.*?)^## /ms.exec(readme()) ?? []
    const text = section.replace(/\s+/g, ' ')
    const ayb = lineOf('- ayb: ').slice('- ayb: '.length)
    const [postgres] = /[\d.]+$/.exec(lineOf('- PostgreSQL: ')) ?? []
    const [disk] = /[\d.]+ ms/.exec(lineOf('- disk: ')) ?? []
    expect(text).toContain(
      `Measured with ayb ${ayb}, Node.js 20 and PostgreSQL ${postgres} on two cores and a disk that needs ${disk} to write 8 kB`,
    )
    for (const command of ['list --json', 'refresh']) {
      const [ms = 0] = measured(`| matviews ${command}, Node.js 20 |`).figures
      expect(text).toContain(`about ${(ms / 1000).toFixed(1)} s in all`)
    }
    // The first figure is the 50 of p50.
    expect(text).toContain(
      `${measured('| lateness of 1200 refreshes').figures[1]} ms after its due time (median)`,
    )
    const [transactions, memory] = measured('| idle worker with 100 schedules').figures
    expect(text).toContain(`${transactions} transactions a second, and needs ${memory} MB of memory`)
    const ratios = [4, 8, 16].flatMap((slots) =>
      ['standard', 'concurrent'].map(
        (mode) => measured(`| 2000 refreshes due at once, ${mode}, ${slots} slots | pgbench |`).ratio,
      ),
    )
    const [least, ...more] = ratios.toSorted()
    expect(text).toContain(`${least} to ${more.at(-1)} times as many views per second as pgbench`)
    const {ratio} = measured('| 1000 refreshes due at once, standard, 4 slots | pg_cron')
    expect(text).toContain(`${ratio} times as many as pg_cron`)
  })

  test('can be read in a quarter of an hour', () => {
    expect(readme().split(/\s+/).length).toBeLessThan(3500)
  })

  test('has links that lead somewhere, as have the files that it leads to', () => {
    const seen = new Set<string>()
    const queue = ['README.md']
    for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
      if (seen.has(file)) continue
      seen.add(file)
      const text = readFileSync(join(PACKAGE_ROOT, file), 'utf8')
      const links = text.replace(/^```.*?^```$/gms, '').matchAll(/\]\(([^)\s]+)\)/g)
      for (const [, link = ''] of links) {
        if (link.startsWith('https://')) continue
        const [path = '', anchor] = link.split('#')
        const target = path === '' ? file : join(dirname(file), path)
        expect(existsSync(join(PACKAGE_ROOT, target)), `${file}: ${link}`).toBe(true)
        if (anchor !== undefined)
          expect(headings(readFileSync(join(PACKAGE_ROOT, target), 'utf8')), `${file}: ${link}`).toContain(
            anchor,
          )
        if (target.endsWith('.md')) queue.push(target)
      }
    }
    expect([...seen]).toEqual(expect.arrayContaining(['README.md', 'src/README.md', 'test/faults/README.md']))
  })

  test('spells canceled one way, as all that ayb prints', () => {
    const files = readdirSync(join(PACKAGE_ROOT, 'src'), {recursive: true, encoding: 'utf8'})
      .filter((name) => /\.(ts|md|html|css)$/.test(name))
      .map((name) => join(PACKAGE_ROOT, 'src', name))
    const texts = [join(PACKAGE_ROOT, 'README.md'), ...files]
    expect(texts.length).toBeGreaterThan(300)
    for (const file of texts) expect(readFileSync(file, 'utf8'), file).not.toMatch(/cancelled|cancelling/i)
  })

  test('names the version that it is about', () => {
    const named = [readme(), ...TOPICS.map(helpOf)].flatMap(
      (text) => text.match(/ayb[-:]\d+\.\d+\.\d+/g) ?? [],
    )
    expect(named.length).toBeGreaterThan(5)
    for (const name of named) expect(name.slice(4)).toBe(version)
  })

  test('names each code of an error beside its exit code, and each topic', () => {
    for (const [code, {exitCode}] of Object.entries(ERRORS)) {
      expect(readme(), code).toMatch(RegExp(`^\\| ([0-9, ]+, )?${exitCode}[,0-9 ]* \\|.*\`${code}\``, 'm'))
    }
    const [, table = ''] = /^### Topics\n(.*?)^###/ms.exec(readme()) ?? []
    const named = [...table.matchAll(/`([a-z-]+)`/g)].map(([, topic]) => topic)
    expect(named.toSorted()).toEqual(TOPICS.toSorted())
  })

  test('grants each table of ayb, and the help drops each', () => {
    const tables = Object.values(SYSTEM_TABLES).toSorted()
    const grants = readmeBlocks('sql').map(({text}) => text)
    expect(
      grants
        .join('')
        .match(/_ayb_\w+/g)
        ?.toSorted(),
    ).toEqual(tables)
    const [, drop = ''] = /drop table if exists (.*?);/s.exec(helpOf('install')) ?? []
    expect(drop.split(/,\s*/).toSorted()).toEqual(tables)
  })
})

/** What was typed in the picture of a terminal. */
const typedInPicture = () =>
  [
    ...readFileSync(join(PACKAGE_ROOT, 'test', 'demo', 'terminal.svg'), 'utf8').matchAll(
      /<text.*?>(.*)<\/text>/g,
    ),
  ]
    .map(([, spans = '']) => spans.replace(/<.*?>/g, ''))
    .filter((line) => line.startsWith('$ '))

describe('a command line', () => {
  const inCode = [
    // Those of services and of CI, too; in SQL, ayb is a role.
    ...readmeBlocks().flatMap(({language, text}) => (language === 'sql' ? [] : [text])),
    ...[...readme().matchAll(/`(ayb [^`]+)`/g)].map(([, line = '']) => line),
  ]
  const inHelp = ['root', ...TOPICS].flatMap((topic) =>
    [...helpOf(topic).matchAll(/^ {2}\$ ((?:.*\\\n)*.*)$/gm)].map(([, line = '']) => line),
  )

  test.each([
    ['README', inCode],
    ['ayb help', inHelp],
    ['the picture', typedInPicture()],
  ])('of %s is one that ayb takes', (_, texts) => {
    const lines = texts.flatMap(commandLines)
    expect(lines.length).toBeGreaterThan(2)
    expect(lines.map((line) => [line, complaint(line)]).filter(([, wrong]) => wrong !== null)).toEqual([])
  })

  test('that ayb does not take is told from others', () => {
    expect(complaint('matviews refresh x --no-such')).toBe('no such flag: --no-such')
    expect(complaint('matviews refesh x')).toBe('no such command')
    expect(complaint('matviews list --state fine')).toBe('--state is not fine')
    expect(complaint('help nothing')).toBe('no such topic')
    expect(complaint('schedules delete a b')).toBe('too many arguments')
  })

  test('of ayb help in a sentence names a topic', () => {
    for (const text of [readme(), ...TOPICS.map(helpOf)]) {
      for (const [line, topic] of text.matchAll(/ayb\s+help\s+([a-z-]+)/g)) {
        expect(isHelpTopic(topic), line).toBe(true)
      }
    }
  })
})
