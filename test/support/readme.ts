import {readFileSync} from 'node:fs'
import {join} from 'node:path'
import {PACKAGE_ROOT} from './manifest.ts'

/** A fenced block of README. */
export interface ReadmeBlock {
  /** The titles above it, such as `CI recipes > After dbt`. */
  section: string
  language: string
  text: string
}

export const readme = (): string => readFileSync(join(PACKAGE_ROOT, 'README.md'), 'utf8')

/** The fenced blocks of README in their order; with a language, those alone. */
export function readmeBlocks(language?: string): ReadmeBlock[] {
  const titles: string[] = []
  const blocks: ReadmeBlock[] = []
  for (const [, level, title, ofBlock, text] of readme().matchAll(
    /^(?:(#+) ([^\n]*)|```([a-z]+)\n(.*?)^```)$/gms,
  )) {
    if (level !== undefined) titles.splice(Math.max(0, level.length - 2), titles.length, title ?? '')
    else blocks.push({section: titles.join(' > '), language: ofBlock ?? '', text: text ?? ''})
  }
  return blocks.filter((block) => language === undefined || block.language === language)
}

/**
 * The YAML that README puts into the file of that name.
 * @throws Error where there is none
 */
export function readmeFile(name: string): string {
  const block = readmeBlocks('yaml').find(({text}) => text.startsWith(`# ${name}\n`))
  if (block === undefined) throw new Error(`README has no ${name}`)
  return block.text
}
