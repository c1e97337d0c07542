import * as Args from '@oclif/core/args'
import {BaseCommand} from '../cli/base-command.ts'
import {completionScript, SHELLS, type Shell} from '../cli/completion/shells.ts'
import {invalidArgument} from '../lib/errors.ts'

/** What `ayb completion` answers. */
interface CompletionDocument {
  shell: Shell
  script: string
  warnings: string[]
}

export default class Completion extends BaseCommand {
  static override summary = 'Print a script that completes ayb in bash, zsh or fish.'
  static override description =
    `Needs no database. In ~/.bashrc, in ~/.zshrc after compinit, or for the shell that is open:

source <(ayb completion bash)
eval "$(ayb completion bash)"   # bash 3.2, as on macOS
source <(ayb completion zsh)
ayb completion fish | source

Or in a file that the shell finds by itself, to be written again after an upgrade of ayb:

ayb completion zsh > "\${fpath[1]}/_ayb"
ayb completion fish > ~/.config/fish/completions/ayb.fish`
  static override usage = `<%= command.id %> ${SHELLS.join('|')} [--json]`
  static override examples = SHELLS.map((shell) => `<%= config.bin %> <%= command.id %> ${shell}`)
  static override args = {
    // Not required for oclif: its error would not say which shells there are.
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
