import {createReadStream} from 'node:fs'
import * as Flags from '@oclif/core/flags'
import {invalidArgument, messageOf} from '../lib/errors.ts'
import {FileProblems, fileError} from '../lib/file-problems.ts'
import {printable} from '../lib/printable.ts'
import {decodeUtf8} from '../lib/utf8.ts'
import {commandLineHint} from './remedies.ts'

/** A file with 20,000 views is smaller. */
const MOST_BYTES = 2_000_000

export const fileFlag = Flags.string({
  char: 'f',
  summary: 'The file, in YAML or JSON; - reads stdin.',
  required: true,
  helpValue: '<file>',
})

/**
 * The text of a file, or of stdin for `-`.
 * @throws AybError INVALID_ARGUMENT
 */
async function readTextFile(path: string): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  try {
    const stream = path === '-' ? process.stdin : createReadStream(path)
    for await (const chunk of stream) {
      bytes += (chunk as Buffer).length
      if (bytes > MOST_BYTES) break
      chunks.push(chunk as Buffer)
    }
  } catch (error) {
    throw invalidArgument(
      `the file ${path} cannot be read: ${messageOf(error)}`,
      'pass the path of a file to -f',
    )
  }
  if (bytes > MOST_BYTES) {
    throw invalidArgument(
      `${nameOfFile(path)} is larger than ${MOST_BYTES / 1_000_000} MB`,
      'split it into several files',
    )
  }
  return decodeUtf8(Buffer.concat(chunks), nameOfFile(path))
}

const nameOfFile = (path: string): string => (path === '-' ? 'stdin' : path)

/**
 * Runs work on a file of declarations. All problems of the file become one error, with the code of the first
 * problem. `print` gets one line for each problem.
 */
export async function withFile<T>(
  path: string,
  print: (line: string) => void,
  work: (text: string) => Promise<T>,
): Promise<T> {
  try {
    return await work(await readTextFile(path))
  } catch (error) {
    if (!(error instanceof FileProblems)) throw error
    const file = nameOfFile(path)
    const refusal = fileError(file, error, commandLineHint)
    for (const {line, column, path: keys, message, hint} of refusal.errors) {
      const texts = [keys, message].filter((text) => text !== '').join(': ')
      print(printable(`${file}:${line}:${column}: ${texts}${hint === null ? '' : `; ${hint}`}`))
    }
    throw refusal.error
  }
}
