import {stripVTControlCharacters} from 'node:util'
import type {Config} from '@oclif/core/config'
import * as Errors from '@oclif/core/errors'
import {type AybError, isAybError} from '../lib/errors.ts'
import {nearest} from '../lib/nearest.ts'
import {internalError} from './output.ts'
import {UsageError} from './usage-error.ts'

/** What an error of oclif's parser has beside its message. */
interface ParseError extends Error {
  flags?: string[]
  args?: ({name?: string} | string)[]
}

/** Any thrown value as an AybError: ours as it is, oclif's as INVALID_ARGUMENT, the rest as INTERNAL. */
export function toAybError(error: unknown, config: Config, id: string | undefined): AybError {
  if (isAybError(error)) return error
  if (error instanceof Error && isAybError(error.cause)) return error.cause
  if (error instanceof Errors.CLIError) return explainParseError(error, config, id)
  return internalError(error)
}

function explainParseError(error: ParseError, config: Config, id = ''): AybError {
  const command = `ayb ${id.replaceAll(':', ' ')}`
  const help = `see: ${command} --help`
  const known = config.findCommand(id)
  const usage = {command: known}
  const {flags, args} = error
  if (flags?.[0]) {
    const flag = flags[0]
    const names = Object.keys(known?.flags ?? {}).map((name) => `--${name}`)
    const guess = nearest(flag.replace(/=.*/s, ''), names)
    return new UsageError(`${command} has no flag ${flag}`, guess ? `did you mean ${guess}?` : help, {
      command: known,
      listsFlags: true,
    })
  }
  if (typeof args?.[0] === 'string') {
    return new UsageError(`${command} takes no argument ${JSON.stringify(args[0])} there`, help, usage)
  }
  if (args) {
    const missing = args.map((arg) => (typeof arg === 'string' ? arg : (arg.name ?? '').toUpperCase()))
    return new UsageError(`${command} needs ${missing.join(' and ')}`, help, usage)
  }
  return new UsageError(cleanMessage(error.message), help, usage)
}

/** oclif's own sentence without its decoration: on one line, without colours and the pointer to the help. */
function cleanMessage(message: string): string {
  return stripVTControlCharacters(message)
    .replace(/\nSee more help with --help$/, '')
    .replace(/^Parsing (--\S+) \n\t/, '$1: ')
    .replace(/^The following errors? occurred:\s*/, '')
    .replaceAll(/Missing required flag (\S+)/g, '--$1 is missing')
    .split('\n')
    .map((line) => line.trim())
    .filter(Boolean)
    .join('; ')
}
