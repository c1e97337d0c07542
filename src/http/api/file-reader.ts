import {dirname, join} from 'node:path'
import {fileURLToPath} from 'node:url'
import {Worker} from 'node:worker_threads'
import {type DeclaredFile, readDeclarations} from '../../core/apply/declarations.ts'
import {onAbort} from '../../lib/abort.ts'
import {AybError} from '../../lib/errors.ts'
import {FileProblems} from '../../lib/file-problems.ts'
import {Places} from '../../lib/places.ts'
import {HttpError} from './errors.ts'
import type {FileReading, FileToRead} from './file-thread.ts'

/** dist/commands/serve.js or dist/chunks/….js → dist/http/api/file-thread.js. */
const THREAD = join(dirname(dirname(fileURLToPath(import.meta.url))), 'http', 'api', 'file-thread.js')

/** Takes less than 0.1 s, as long as a thread takes to start: unless aliases repeat parts of the file. */
const SMALL_LENGTH = 16_384

/** What is done with a file after it was read keeps other requests waiting: 20 µs for each view. */
export const MOST_DESCRIBED = 10_000

/** A usual file of a megabyte takes 200 MB; one that was written to take much takes more. */
const MOST_MEMORY_MB = 384

/**
 * Reads files of views and schedules. A megabyte takes up to four seconds, so anything but a small file is
 * read in a thread of its own: one at a time.
 */
export class FileReader {
  readonly #threads = new Places(1)

  /**
   * The file of a text.
   * @throws FileProblems; HttpError where the file is too large; the reason of the signal
   */
  async read(text: string, signal: AbortSignal): Promise<DeclaredFile> {
    if (text.length <= SMALL_LENGTH && !text.includes('*')) return readDeclarations(text)
    await this.#threads.take(1, signal)
    try {
      return fileOf(await readInThread(text, signal))
    } finally {
      this.#threads.give(1)
    }
  }
}

/** Settles when the thread has ended. */
function readInThread(text: string, signal: AbortSignal): Promise<FileReading> {
  const workerData: FileToRead = {text, mostDescribed: MOST_DESCRIBED}
  const thread = new Worker(THREAD, {
    workerData,
    resourceLimits: {maxOldGenerationSizeMb: MOST_MEMORY_MB},
  })
  let answer: FileReading | undefined
  let failure: unknown = new Error('the thread that reads a file ended without an answer')
  const stopListening = onAbort(signal, () => void thread.terminate())
  thread.once('message', (reading: FileReading) => {
    answer = reading
  })
  thread.once('error', (error: NodeJS.ErrnoException) => {
    failure = error.code === 'ERR_WORKER_OUT_OF_MEMORY' ? tooLarge('the body takes too much memory') : error
  })
  return new Promise((resolve, reject) => {
    // Its memory is free by then, for the next file.
    thread.once('exit', () => {
      stopListening()
      if (signal.aborted) reject(signal.reason)
      else if (answer) resolve(answer)
      else reject(failure)
    })
  })
}

/** @throws FileProblems, HttpError */
function fileOf(reading: FileReading): DeclaredFile {
  if ('file' in reading) return reading.file
  if ('described' in reading) {
    const [described, most] = [reading.described, MOST_DESCRIBED].map((n) => n.toLocaleString('en-US'))
    throw tooLarge(
      `the body describes ${described} views and schedules, and at most ${most} are taken at once`,
    )
  }
  const problems = reading.problems.map(({error: {code, message, ...advice}, ...where}) => ({
    ...where,
    error: new AybError(code, message, advice),
  }))
  throw new FileProblems(problems, {isCut: reading.isCut})
}

const tooLarge = (message: string): HttpError =>
  new HttpError('PAYLOAD_TOO_LARGE', message, 'send the file in parts, without prune')
