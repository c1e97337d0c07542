import type {Config} from '@oclif/core/config'
import {bashScript} from './bash.ts'
import {commandTree} from './command-tree.ts'
import {fishScript} from './fish.ts'
import {zshScript} from './zsh.ts'

const SCRIPTS = {bash: bashScript, zsh: zshScript, fish: fishScript} as const

/** A shell with completion. */
export type Shell = keyof typeof SCRIPTS

export const SHELLS = Object.keys(SCRIPTS) as Shell[]

/** The script that teaches a shell the commands of the program, without a line break at its end. */
export function completionScript(shell: Shell, config: Config): string {
  return SCRIPTS[shell](config.bin, commandTree(config))
}
