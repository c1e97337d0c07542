// A thread of ayb serve. It reads one file of views and schedules, answers, and ends.

import {parentPort, workerData} from 'node:worker_threads'
import {type DeclaredFile, readDeclarations} from '../../core/apply/declarations.ts'
import type {AybError} from '../../lib/errors.ts'
import {FileProblems, type Place} from '../../lib/file-problems.ts'

/** What the thread is told. */
export interface FileToRead {
  text: string
  /** A file with more views and schedules is not sent back. */
  mostDescribed: number
}

/** A problem as it goes from thread to thread, which takes nothing of an error but its message. */
export interface SentProblem extends Place {
  path: string
  error: Pick<AybError, 'code' | 'message' | 'hint' | 'remedy' | 'details'>
}

/** What the thread answers: the file, why there is none, or how many views and schedules are too many. */
export type FileReading =
  | {file: DeclaredFile}
  | {problems: SentProblem[]; isCut: boolean}
  | {described: number}

function read({text, mostDescribed}: FileToRead): FileReading {
  try {
    const file = readDeclarations(text)
    const described = file.views.length + file.schedules.length
    return described > mostDescribed ? {described} : {file}
  } catch (error) {
    if (!(error instanceof FileProblems)) throw error
    const problems = error.problems.map(({error: {code, message, hint, remedy, details}, ...where}) => ({
      ...where,
      error: {code, message, hint, remedy, details},
    }))
    return {problems, isCut: error.isCut}
  }
}

parentPort?.postMessage(read(workerData as FileToRead))
