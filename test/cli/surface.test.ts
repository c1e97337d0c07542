import {readFileSync} from 'node:fs'
import type {Command, Interfaces} from '@oclif/core'
import {expect, it} from 'vitest'
import {MANIFEST_FILE} from '../support/manifest.ts'

it('has the commands, arguments and flags that scripts rely on', async () => {
  const {commands}: Interfaces.Manifest = JSON.parse(readFileSync(MANIFEST_FILE, 'utf8'))
  const ids = Object.keys(commands).sort()
  const surface = ids.map((id) => describeCommand(id, commands[id] as Command.Cached)).join('\n')
  await expect(surface).toMatchFileSnapshot('surface.snap.txt')
})

it('explains each command, flag and argument, and has an example of each command', async () => {
  const {commands}: Interfaces.Manifest = JSON.parse(readFileSync(MANIFEST_FILE, 'utf8'))
  for (const [id, {summary, examples, flags, args, hidden}] of Object.entries(commands)) {
    if (hidden) continue
    expect(summary, id).toMatch(/^[A-Z].*[.]$/)
    expect(examples, id).not.toHaveLength(0)
    for (const each of Object.values(flags)) {
      expect(each.summary ?? each.description, `${id} --${each.name}`).toMatch(/^\S.*\S$/)
    }
    for (const each of Object.values(args)) expect(each.description, `${id} ${each.name}`).toMatch(/^\S.*\S$/)
  }
})

function describeCommand(id: string, {args, flags, aliases, hidden}: Command.Cached): string {
  const names = [id, ...aliases].map((name) => `ayb ${name.replaceAll(':', ' ')}`)
  return [
    `${names.join(', ')}${hidden ? ' (hidden)' : ''}`,
    // Their order is that of the line, that of flags means nothing.
    ...Object.values(args).map((arg) => line(arg.name.toUpperCase(), describeArgument(arg))),
    ...Object.values(flags)
      .sort((a, b) => (a.name < b.name ? -1 : 1))
      .map((flag) => line(nameOf(flag), describeFlag(flag))),
    '',
  ].join('\n')
}

function nameOf(flag: Command.Flag.Cached): string {
  const long = flag.type === 'boolean' && flag.allowNo ? `--[no-]${flag.name}` : `--${flag.name}`
  const aliases = (flag.aliases ?? []).map((alias) => `--${alias}`)
  const chars = [flag.char, ...(flag.charAliases ?? [])].flatMap((char) => (char ? [`-${char}`] : []))
  return [long, ...aliases, ...chars].join(', ')
}

function describeArgument({options, required, multiple, hidden, ...arg}: Command.Arg.Cached): string {
  return traits({
    [options?.join('|') ?? 'text']: true,
    required,
    multiple,
    hidden,
    ...defaultOf(arg),
  })
}

function describeFlag(flag: Command.Flag.Cached): string {
  const isOption = flag.type === 'option'
  return traits({
    [isOption ? (flag.options?.join('|') ?? 'text') : 'boolean']: true,
    required: flag.required,
    multiple: isOption && flag.multiple,
    hidden: flag.hidden,
    deprecated: Boolean(flag.deprecated),
    [`environment ${flag.env}`]: flag.env !== undefined,
    [`needs ${flag.dependsOn?.join(', ')}`]: flag.dependsOn !== undefined,
    [`excludes ${flag.exclusive?.join(', ')}`]: flag.exclusive !== undefined,
    [`relationships ${JSON.stringify(flag.relationships)}`]: flag.relationships !== undefined,
    ...defaultOf(flag),
  })
}

function defaultOf(input: {default?: unknown}): Record<string, boolean> {
  return {[`default ${JSON.stringify(input.default)}`]: input.default !== undefined}
}

function traits(all: Record<string, boolean | undefined>): string {
  return Object.keys(all)
    .filter((trait) => all[trait])
    .join('; ')
}

const line = (name: string, text: string): string => `  ${name.padEnd(24)} ${text}`
