import * as Args from '@oclif/core/args'
import {BaseCommand} from '../cli/base-command.ts'
import {completionScript, SHELLS, type Shell} from '../cli/completion/shells.ts'
import {invalidArgument} from '../lib/errors.ts'

/** The result of `ayb completion`. */
interface CompletionDocument {
  shell: Shell
  script: string
  warnings: string[]
}

export default class Completion extends BaseCommand {
  static override summary = 'Print a script that completes ayb in bash, zsh or fish.'
  static override description =
    `Needs no database. The script completes commands and flags, and the names of views, schedules and jobs if the database answers at once. Put the line for your shell into ~/.bashrc or, after compinit, into ~/.zshrc, or run the line in the open shell:

source <(ayb completion bash)
eval "$(ayb completion bash)"   # bash 3.2, as on macOS
source <(ayb completion zsh)
ayb completion fish | source

Or write the script to a file that the shell loads by itself, and again after each upgrade of ayb:

ayb completion zsh > "\${fpath[1]}/_ayb"
ayb completion fish > ~/.config/fish/completions/ayb.fish`
  static override usage = `<%= command.id %> ${SHELLS.join('|')} [--json]`
  static override examples = SHELLS.map((shell) => `<%= config.bin %> <%= command.id %> ${shell}`)
  static override args = {
    // Not `required`: the error of oclif would not list the shells.
    shell: Args.custom<Shell>({options: SHELLS})({description: 'The shell.', ignoreStdin: true}),
  }

  async run(): Promise<CompletionDocument> {
    const {args} = await this.parse(Completion)
    const {shell} = args
    if (shell === undefined) throw this.#shellMissing()
    const script = completionScript(shell, this.config)
    this.print(script)
    return {shell, script, warnings: []}
  }

  #shellMissing() {
    const own = SHELLS.find((shell) => shell === this.config.shell)
    return invalidArgument(
      `ayb completion needs a shell: ${SHELLS.join(', ')}`,
      own ? `for yours: ayb completion ${own}` : 'for example: ayb completion bash',
    )
  }
}
