import type {Command} from '@oclif/core/command'
import type {Config} from '@oclif/core/config'
import type {NameKind} from '../../lib/name-kinds.ts'
import {oneLine} from '../../lib/outside-text.ts'
import {SHORT_WAYS} from '../command-line.ts'
import {HELP_TOPICS} from '../help-topics.ts'

/** A flag as it is typed. */
export interface FlagSyntax {
  /** With their dashes, the long name first: `--mode`, `-m`. */
  names: readonly string[]
  summary: string
  takesValue: boolean
  /** The values it takes, where only some are allowed; else empty. */
  values: readonly string[]
  /** What names of the database it takes; null where it takes none. */
  kind: NameKind | null
  isRepeatable: boolean
}

/** A positional argument. */
export interface ArgumentSyntax {
  name: string
  /** The values it takes, where only some are allowed; else empty. */
  values: readonly string[]
  /** What names of the database it takes; null where it takes none. */
  kind: NameKind | null
  isRequired: boolean
  /** Whether more of the kind may follow. */
  isRepeatable: boolean
}

/** The program itself, a topic, or a command. */
export interface CommandNode {
  /**
   * The words of the command without the program, such as `['matviews', 'refresh']`; empty for the program
   * itself.
   */
  path: readonly string[]
  /** One line, without a full stop. */
  summary: string
  children: readonly CommandNode[]
  flags: readonly FlagSyntax[]
  args: readonly ArgumentSyntax[]
}

/** The arguments and flags that take names of the database. */
const KINDS: Record<string, NameKind> = {
  ...{view: 'views', old: 'views', new: 'unregistered', schedule: 'schedules', job: 'jobs'},
}

const HELP = flagWithoutValue(['--help', '-h'], 'Show help')
const VERSION = flagWithoutValue(['--version', '-v'], 'Show the version')

/** What can be typed after the program's name, without what is hidden. */
export function commandTree(config: Config): CommandNode {
  const commands = config.commands.filter(({hidden}) => !hidden)
  const root = nodeAt([], commands, config)
  const short = [...SHORT_WAYS]
    .filter((name) => commands.some(({id}) => id === `matviews:${name}`))
    .map((name) => ({...nodeAt(['matviews', name], commands, config), path: [name]}))
  const words = [...root.children, ...short]
  const children = [...words, helpNode(words)].sort((a, b) => (a.path < b.path ? -1 : 1))
  return {...root, children}
}

/** `ayb help`, which explains commands and topics. */
function helpNode(words: readonly CommandNode[]): CommandNode {
  const values = [...HELP_TOPICS, ...words.flatMap(({path}) => path)]
  const topic = {name: 'topic', values: [...new Set(values)].sort(), kind: null}
  return {
    path: ['help'],
    summary: 'Explain a command or a topic',
    children: [],
    flags: [],
    args: [{...topic, isRequired: false, isRepeatable: false}],
  }
}

/** The node and all below it. */
export function withDescendants(node: CommandNode): CommandNode[] {
  return [node, ...node.children.flatMap(withDescendants)]
}

function nodeAt(path: readonly string[], commands: readonly Command.Cached[], config: Config): CommandNode {
  const id = path.join(':')
  const command = commands.find((candidate) => candidate.id === id)
  const below = commands.filter((candidate) => id === '' || candidate.id.startsWith(`${id}:`))
  const words = new Set(below.map((candidate) => candidate.id.split(':')[path.length] as string))
  const flags = command ? Object.values(command.flags).filter(({hidden}) => !hidden) : []
  const args = command ? Object.values(command.args).filter(({hidden}) => !hidden) : []
  return {
    path,
    summary: menuText(command?.summary ?? command?.description ?? config.findTopic(id)?.description),
    children: [...words].sort().map((word) => nodeAt([...path, word], below, config)),
    flags: [...flags.flatMap(flagSyntax), HELP, ...(id === '' ? [VERSION] : [])].sort(byFirstName),
    args: args.map((arg) => ({
      name: arg.name,
      values: arg.options ?? [],
      kind: id === 'matviews:register' ? 'unregistered' : (KINDS[arg.name] ?? null),
      isRequired: arg.required ?? false,
      isRepeatable: arg.multiple ?? false,
    })),
  }
}

function flagSyntax(flag: Command.Flag.Cached): FlagSyntax[] {
  const long = [flag.name, ...(flag.aliases ?? [])].map((name) => `--${name}`)
  const short = [flag.char, ...(flag.charAliases ?? [])].flatMap((char) => (char ? [`-${char}`] : []))
  const names = [...long, ...short]
  const summary = menuText(flag.summary ?? flag.description)
  if (flag.type === 'boolean') {
    const yes = flagWithoutValue(names, summary)
    return flag.allowNo ? [yes, flagWithoutValue([`--no-${flag.name}`], summary)] : [yes]
  }
  return [
    {
      ...{names, summary, takesValue: true, values: flag.options ?? []},
      ...{kind: KINDS[flag.name] ?? null, isRepeatable: flag.multiple ?? false},
    },
  ]
}

function flagWithoutValue(names: readonly string[], summary: string): FlagSyntax {
  return {names, summary, takesValue: false, values: [], kind: null, isRepeatable: false}
}

function byFirstName(a: FlagSyntax, b: FlagSyntax): number {
  return (a.names[0] as string) < (b.names[0] as string) ? -1 : 1
}

/** Menus show a summary on one line, beside the word. */
const menuText = (text = ''): string => oneLine(text).replace(/\.$/, '')
