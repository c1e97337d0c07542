import {readFileSync} from 'node:fs'
import {join} from 'node:path'
import {describeTerminal} from '../render/terminal.ts'

/** What `ayb help TOPIC` explains beside commands, from src/help. */
export const HELP_TOPICS = [
  'install',
  'connecting',
  'pooler',
  'roles',
  'views',
  'refresh',
  'concurrency',
  'order',
  'changes',
  'tuning',
  'schedules',
  'jobs',
  'worker',
  'freshness',
  'alerts',
  'metrics',
  'doctor',
  'logs',
  'gitops',
  'http',
  'collections',
  'output',
  'exit-codes',
] as const

export type HelpTopic = (typeof HELP_TOPICS)[number]

export const isHelpTopic = (word: string | undefined): word is HelpTopic =>
  (HELP_TOPICS as readonly (string | undefined)[]).includes(word)

/**
 * Prints a text of the folder of helps: a topic, or `root`, which stands below the list of commands. Titles
 * are in the style of the help of commands.
 */
export function printHelp(folder: string, name: HelpTopic | 'root'): void {
  const {style} = describeTerminal(process.stdout, process.env)
  const text = readFileSync(join(folder, `${name}.md`), 'utf8')
  const lines = text
    .split('\n')
    .map((line) => (line.startsWith('# ') ? style.bold(line.slice(2).toUpperCase()) : line))
  process.stdout.write(lines.join('\n'))
}
