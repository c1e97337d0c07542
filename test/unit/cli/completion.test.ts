import {mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {Config} from '@oclif/core'
import {afterAll, beforeAll, describe, expect, it} from 'vitest'
import {bashScript} from '../../../src/cli/completion/bash.ts'
import {type CommandNode, commandTree, withDescendants} from '../../../src/cli/completion/command-tree.ts'
import {fishScript} from '../../../src/cli/completion/fish.ts'
import {completionScript, SHELLS} from '../../../src/cli/completion/shells.ts'
import {zshScript} from '../../../src/cli/completion/zsh.ts'
import {PACKAGE_ROOT} from '../../support/manifest.ts'

const folder = mkdtempSync(join(tmpdir(), 'ayb-completion-'))
afterAll(() => rmSync(folder, {recursive: true, force: true}))

/** A program made of nothing but its manifest. */
async function programWith(commands: Record<string, object>): Promise<Config> {
  const oclif = {bin: 'prog', commands: './none', topics: {jobs: {description: 'Look after jobs.'}}}
  const manifest = Object.fromEntries(
    Object.entries(commands).map(([id, command]) => [id, {id, aliases: [], args: {}, flags: {}, ...command}]),
  )
  writeFileSync(join(folder, 'package.json'), JSON.stringify({name: 'prog', version: '1.0.0', oclif}))
  writeFileSync(join(folder, 'oclif.manifest.json'), JSON.stringify({version: '1.0.0', commands: manifest}))
  return Config.load({root: folder, name: 'prog'})
}

const node = (path: string[], rest: Partial<CommandNode> = {}): CommandNode => ({
  path,
  summary: '',
  children: [],
  flags: [],
  args: [],
  ...rest,
})

const flagWith = (summary: string, values: string[] = []) => ({
  names: ['--flag'],
  summary,
  takesValue: values.length > 0,
  values,
  kind: null,
  isRepeatable: false,
})

describe('what can be completed', () => {
  it('has the short ways to the commands of matviews', async () => {
    const config = await programWith({'matviews:list': {flags: {schema: {name: 'schema', type: 'option'}}}})
    const list = commandTree(config).children.find(({path}) => path[0] === 'list')
    expect(list?.path).toEqual(['list'])
    expect(list?.flags.flatMap(({names}) => names)).toContain('--schema')
  })

  it('has topics, commands and flags, sorted, without what is hidden', async () => {
    const config = await programWith({
      'jobs:show': {
        summary: 'Show a job.',
        args: {job: {name: 'job', required: true}, secret: {name: 'secret', hidden: true}},
        flags: {
          wait: {name: 'wait', char: 'w', aliases: ['await'], type: 'boolean', summary: 'Wait\n  for it.'},
          on: {name: 'on', type: 'boolean', allowNo: true, description: 'Switch it.'},
          level: {name: 'level', type: 'option', options: ['low', 'high'], multiple: true},
          secret: {name: 'secret', type: 'boolean', hidden: true},
        },
      },
      'jobs:debug': {summary: 'Look inside.', hidden: true},
      'secret:show': {summary: 'Look inside.', hidden: true},
      'all:the:way': {summary: 'Go down.'},
    })
    const none = {takesValue: false, values: [], kind: null, isRepeatable: false}
    const helpFlag = {names: ['--help', '-h'], summary: 'Show help', ...none}
    const root = commandTree(config)
    expect(withDescendants(root).map(({path}) => path.join(' '))).toEqual([
      '',
      'all',
      'all the',
      'all the way',
      'help',
      'jobs',
      'jobs show',
    ])
    expect(root.flags).toEqual([helpFlag, {names: ['--version', '-v'], summary: 'Show the version', ...none}])
    const [, help, jobs] = root.children
    expect(help?.args[0]?.values).toEqual(expect.arrayContaining(['all', 'exit-codes', 'jobs']))
    expect(jobs).toMatchObject({summary: 'Look after jobs', flags: [helpFlag], args: []})
    expect(jobs?.children).toEqual([
      {
        path: ['jobs', 'show'],
        summary: 'Show a job',
        children: [],
        args: [{name: 'job', values: [], kind: 'jobs', isRequired: true, isRepeatable: false}],
        flags: [
          helpFlag,
          {
            names: ['--level'],
            summary: '',
            takesValue: true,
            values: ['low', 'high'],
            kind: null,
            isRepeatable: true,
          },
          {names: ['--no-on'], summary: 'Switch it', ...none},
          {names: ['--on'], summary: 'Switch it', ...none},
          {names: ['--wait', '--await', '-w'], summary: 'Wait for it', ...none},
        ],
      },
    ])
  })

  it('has aliases beside their command, but no hidden ones', async () => {
    const config = await programWith({
      'jobs:list': {summary: 'List.', aliases: ['jobs:ls'], hiddenAliases: ['jobs:dir']},
    })
    expect(withDescendants(commandTree(config)).map(({path}) => path.join(' '))).toEqual([
      '',
      'help',
      'jobs',
      'jobs list',
      'jobs ls',
    ])
  })
})

describe.each(SHELLS)('the script for %s', (shell) => {
  let config: Config
  let script: string
  beforeAll(async () => {
    config = await Config.load({root: PACKAGE_ROOT})
    script = completionScript(shell, config)
  })

  it('knows every command and every flag', () => {
    const commands = config.commands.filter(({hidden}) => !hidden)
    expect(commands.length).toBeGreaterThan(0)
    for (const {id, flags} of commands) {
      const part = partOf(script, shell, id)
      for (const {name} of Object.values(flags).filter(({hidden}) => !hidden)) {
        expect(part, id).toMatch(
          shell === 'fish' ? `-l '${name}' ` : RegExp(`'(\\(-\\w\\))?\\*?--${name}(?![\\w-])`),
        )
      }
    }
  })

  it('knows every value that a flag or an argument is limited to', () => {
    for (const {id, flags, args} of config.commands.filter(({hidden}) => !hidden)) {
      const ofFlags = Object.values(flags).flatMap((flag) => (flag.type === 'option' && flag.options) || [])
      const ofArgs = Object.values(args).flatMap(({options}) => options ?? [])
      for (const value of [...ofFlags, ...ofArgs]) expect(partOf(script, shell, id)).toContain(value)
    }
    expect(partOf(script, shell, 'completion')).toContain('fish')
  })

  it('has nothing in it that help would have filled in', () => {
    expect(script).not.toContain('<%')
  })

  it('ends without an empty line', () => {
    expect(script).not.toMatch(/\s$/)
  })
})

/** What a script says of one command. */
function partOf(script: string, shell: string, id: string): string {
  const words = id.replaceAll(':', ' ')
  const start = {
    bash: `'${words}`,
    zsh: `_ayb_${id.replaceAll(/[^a-z]/g, '_')}() {`,
    fish: ` ${words}' `,
  }[shell] as string
  const end = {bash: ';;', zsh: '\n}', fish: '\n'}[shell] as string
  const parts = script.split(start).slice(1)
  expect(parts, `${words} in the script for ${shell}`).not.toHaveLength(0)
  return parts.map((part) => `${start}${part.slice(0, part.indexOf(end))}`).join('\n')
}

describe('quoting', () => {
  const awkward = `It's "a" [b] c:d $(e) \\f \`g\``

  it('keeps a summary and a value as they are in zsh', () => {
    const script = zshScript('prog', node([], {flags: [flagWith(awkward, ["o'clock", 'a:b'])]}))
    expect(script).toContain(
      `'--flag=[It'\\''s "a" \\[b\\] c\\:d $(e) \\\\f \`g\`]:flag:('\\''o'\\''\\'\\'''\\''clock'\\'' '\\''a\\:b'\\'')'`,
    )
    const topic = zshScript('prog', node([], {children: [node(['a:b'], {summary: awkward})]}))
    expect(topic).toContain(`'a\\:b:It'\\''s "a" [b] c:d $(e) \\\\f \`g\`'`)
  })

  it('keeps a summary and a value as they are in fish', () => {
    const script = fishScript('prog', node([], {flags: [flagWith(awkward, ["o'clock", 'plain'])]}))
    expect(script).toContain(
      `-l 'flag' -x -a '\\'o\\\\\\'clock\\' plain' -d 'It\\'s "a" [b] c:d $(e) \\\\f \`g\`'`,
    )
  })

  it('keeps a value as it is in bash', () => {
    const script = bashScript('prog', node([], {flags: [flagWith(awkward, ["o'clock", '$(e)'])]}))
    expect(script).toContain(`values=('o'\\''clock' '$(e)')`)
  })

  it('makes function names of any program name', () => {
    expect(bashScript('my-prog.js', node([]))).toContain(`complete -F _my_prog_js 'my-prog.js'`)
  })
})

it('asks of bash only what 3.2 has', async () => {
  const script = completionScript('bash', await Config.load({root: PACKAGE_ROOT}))
  const newer =
    /declare -|local -[^a]|mapfile|readarray|compopt|\$\{\w+(,|\^|@)|\+=|&>>|\|&|;&|\[-\d|_init_completion/
  expect(script).not.toMatch(newer)
})
