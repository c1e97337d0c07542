import type {Command} from '@oclif/core/command'
import {AybError} from '../lib/errors.ts'
import {wrapHanging} from '../render/width.ts'

/** Help pages are no wider either. */
const MAX_COLUMNS = 80

interface Usage {
  command: Command.Loadable | undefined
  /** Whether to list the flags of the command, for somebody who typed one that does not exist. */
  listsFlags?: boolean
}

/** A command line that its command does not take. On stderr, the usage of the command follows the hint. */
export class UsageError extends AybError {
  readonly #usage: Usage

  constructor(message: string, hint: string, usage: Usage) {
    super('INVALID_ARGUMENT', message, {hint})
    this.#usage = usage
  }

  /** The usage in a few lines; null where no command was meant. */
  usage(columns: number): string | null {
    const {command, listsFlags = false} = this.#usage
    if (command === undefined) return null
    const lines = listsFlags ? [usageLine(command), flagLine(command)] : [usageLine(command)]
    return lines.map((line) => wrapHanging(line, Math.min(columns, MAX_COLUMNS))).join('\n')
  }
}

/** `Usage: ayb schedules create --name <name> [FLAGS]` */
function usageLine({id, args, flags}: Command.Loadable): string {
  const words = Object.values(args).map(({name, required, multiple}) => {
    const word = `${name.toUpperCase()}${multiple ? '...' : ''}`
    return required ? word : `[${word}]`
  })
  const needed = Object.values(flags)
    .filter(({required}) => required)
    .map((flag) => `--${flag.name}${flag.type === 'option' ? ` ${flag.helpValue}` : ''}`)
  return ['Usage: ayb', id.replaceAll(':', ' '), ...words, ...needed, '[FLAGS]'].join(' ')
}

/** `Flags: --limit, --state, --json, --help`, those of every command last. */
function flagLine({flags}: Command.Loadable): string {
  const names = Object.values(flags)
    .filter(({hidden}) => !hidden)
    .sort((a, b) => Number(isGlobal(a)) - Number(isGlobal(b)) || (a.name < b.name ? -1 : 1))
    .map((flag) => (flag.type === 'boolean' && flag.allowNo ? `--[no-]${flag.name}` : `--${flag.name}`))
  return `Flags: ${[...names, '--help'].join(', ')}`
}

const isGlobal = ({helpGroup}: {helpGroup?: string | undefined}): boolean => helpGroup === 'GLOBAL'
