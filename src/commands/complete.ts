import * as Args from '@oclif/core/args'
import {BaseCommand} from '../cli/base-command.ts'
import {offeredNames} from '../core/names.ts'
import {NAME_KINDS, type NameKind} from '../lib/name-kinds.ts'
import {oneLine} from '../lib/outside-text.ts'

/** How long the database may take. Whoever waits longer for a Tab has typed the name. */
const PATIENCE_MS = 300

/** Of the line that is completed: where it connects to. */
const CONNECTION = /^--(database-url|service)(?:=(.*))?$/s

/**
 * Prints names for the scripts of `ayb completion`: one a line, with a tab and a note behind it. Prints
 * nothing where that fails or takes long: the line that is being typed must not be disturbed.
 */
export default class Complete extends BaseCommand {
  static override summary = 'Print names for the completion of a shell.'
  static override hidden = true
  static override strict = false
  static override args = {
    kind: Args.custom<NameKind>({options: [...NAME_KINDS]})({
      description: 'The kind of names. The words of the line follow behind --.',
      required: true,
      ignoreStdin: true,
    }),
  }

  async run(): Promise<void> {
    // Without a handshake at its end: a process that ends closes its connection.
    setTimeout(() => process.exit(), PATIENCE_MS)
    const {args, argv, flags} = await this.parse(Complete)
    const line = connectionOf((argv as string[]).slice(1))
    const names = await this.withDatabase({...flags, ...line}, (db) => offeredNames(db, args.kind))
    const lines = names.map(({name, note}) => `${oneLine(name)}\t${oneLine(note)}\n`)
    process.stdout.write(lines.join(''), () => process.exit())
  }

  protected override async catch(): Promise<void> {
    process.exit()
  }
}

function connectionOf(words: readonly string[]): Record<string, string> {
  const found: Record<string, string> = {}
  for (const [index, word] of words.entries()) {
    const [, flag, value = words[index + 1]] = CONNECTION.exec(word) ?? []
    if (flag !== undefined && value !== undefined) found[flag] = value
  }
  return found
}
