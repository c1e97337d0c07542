import {readFileSync} from 'node:fs'
import type {Command} from '@oclif/core/command'
import {expect, test} from 'vitest'
import {UsageError} from '../../../src/cli/usage-error.ts'
import {displayWidth} from '../../../src/render/width.ts'
import {MANIFEST_FILE} from '../../support/manifest.ts'

const COMMANDS: [string, Command.Loadable][] = Object.entries(
  JSON.parse(readFileSync(MANIFEST_FILE, 'utf8')).commands,
)

test.each(COMMANDS)('the usage of %s takes a few lines of 80 columns', (id, command) => {
  const lines = new UsageError('', '', {command, listsFlags: true}).usage(200)?.split('\n') ?? []
  expect(lines[0]).toMatch(RegExp(`^Usage: ayb ${id.replaceAll(':', ' ')} .*\\[FLAGS\\]$`))
  expect(lines[1]).toMatch(/^Flags: --/)
  expect(lines.length).toBeLessThanOrEqual(7)
  for (const line of lines) expect(displayWidth(line)).toBeLessThanOrEqual(80)
  expect(lines.join()).not.toContain('undefined')
})

test('nothing is told where no command was meant', () => {
  expect(new UsageError('', '', {command: undefined}).usage(80)).toBeNull()
})
