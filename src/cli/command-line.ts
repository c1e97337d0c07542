import type {Command} from '@oclif/core/command'
import type {Config} from '@oclif/core/config'
import {invalidArgument} from '../lib/errors.ts'
import {nearest} from '../lib/nearest.ts'
import {UsageError} from './usage-error.ts'

export const HELP_FLAGS = new Set(['--help', '-h'])

const VERSION_WORDS = new Set(['--version', '-v', 'version'])
/** Commands of matviews that need no `matviews`. */
export const SHORT_WAYS: ReadonlySet<string> = new Set(['list', 'refresh', 'show', 'status'])

/**
 * Returns the command line in the form that oclif expects: `help x` becomes `x --help`, `list` becomes
 * `matviews list`. Refuses an unknown
 * command, a flag before its command, and a topic without a command: oclif would print a help text and exit
 * with 0.
 * @throws AybError INVALID_ARGUMENT
 */
export function checkCommandLine(config: Config, line: readonly string[]): string[] {
  const asked = line[0] === 'help' ? [...line.slice(1), '--help'] : [...line]
  const argv = SHORT_WAYS.has(asked[0] ?? '') ? ['matviews', ...asked] : asked
  const [first, second] = argv
  if (first !== undefined && VERSION_WORDS.has(first)) return ['--version']
  if (first === undefined) return argv
  if (HELP_FLAGS.has(first)) return argv.slice(0, 1)
  if (first.startsWith('-')) {
    throw invalidArgument(
      `the flag ${first} comes before its command`,
      'write the command first: ayb COMMAND [FLAGS]',
    )
  }
  const command = config.findCommand(first)
  const isTopicToo = second !== undefined && config.findCommand(`${first}:${second}`) !== undefined
  if (command && !isTopicToo) {
    refuseStrayArgument(command, first, second)
    refuseSwitchValue(command, first, argv.slice(1))
    return argv
  }
  if (!isTopicToo && !config.findTopic(first)) throw unknownCommand(config, first)
  if (second === undefined || HELP_FLAGS.has(second)) return [first, '--help']
  if (second.startsWith('-')) {
    throw invalidArgument(
      `ayb ${first}: the flag ${second} comes before its command`,
      `write the command first: ayb ${first} COMMAND [FLAGS]; see: ayb ${first} --help`,
    )
  }
  const subcommand = config.findCommand(`${first}:${second}`)
  if (!subcommand) throw unknownCommand(config, `${first} ${second}`)
  refuseStrayArgument(subcommand, `${first} ${second}`, argv[2])
  refuseSwitchValue(subcommand, `${first} ${second}`, argv.slice(2))
  return argv
}

/** Whether a command line may begin with the word. */
export const isCommandWord = (config: Config, word: string): boolean =>
  config.findCommand(word) !== undefined || config.findTopic(word) !== undefined || SHORT_WAYS.has(word)

/** oclif takes a word after a command without arguments as a part of the name of the command. */
function refuseStrayArgument(command: Command.Loadable, name: string, word: string | undefined): void {
  if (word === undefined || word.startsWith('-') || Object.keys(command.args).length > 0) return
  throw new UsageError(
    `ayb ${name} takes no argument ${JSON.stringify(word)} there`,
    `see: ayb ${name} --help`,
    {command},
  )
}

/** oclif takes the value of `--wait=yes` for an argument, such as one view more. */
function refuseSwitchValue(command: Command.Loadable, name: string, words: readonly string[]): void {
  const end = words.indexOf('--')
  for (const word of end === -1 ? words : words.slice(0, end)) {
    const [, flag, value] = /^(--[^=]+)=(.*)$/s.exec(word) ?? []
    if (flag === undefined || command.flags[flag.replace(/^--(no-)?/, '')]?.type !== 'boolean') continue
    throw new UsageError(
      `ayb ${name}: ${flag} takes no value, not even ${JSON.stringify(value)}`,
      `see: ayb ${name} --help`,
      {command},
    )
  }
}

function unknownCommand(config: Config, typed: string) {
  const known = [
    ...config.commands.filter(({hidden}) => !hidden).map(({id}) => id.replaceAll(':', ' ')),
    ...config.topics.map(({name}) => name),
    ...SHORT_WAYS,
  ]
  const guess = nearest(typed, known)
  const topic = typed.split(' ')[0] as string
  const help = config.findTopic(topic) ? `see: ayb ${topic} --help` : 'see: ayb --help'
  return invalidArgument(`there is no command: ayb ${typed}`, guess ? `did you mean: ayb ${guess}?` : help)
}
