import type {FastifyReply} from 'fastify'
import type {DatabaseWork} from '../../db/pool.ts'
import type {Warning} from '../../lib/unworded.ts'
import type {ApiContext} from './context.ts'
import {apiWarning} from './remedies.ts'
import {untilGone} from './until-gone.ts'

/** The form of all answers with a list. */
export const itemsOf = <T>(items: readonly T[]) => ({items, count: items.length})

/**
 * Runs short work for an answer. Skips the work if the client has disconnected by the time a session is free;
 * work that waits for something itself gets the signal, too.
 * Warnings that are not part of the answer go to the log.
 */
export function workingFor({pool, cutOff, log}: ApiContext) {
  return async <T>(
    reply: FastifyReply,
    work: (db: Parameters<DatabaseWork<T>>[0], signal: AbortSignal) => Promise<T>,
  ): Promise<T> => {
    const signal = untilGone(reply, cutOff)
    const result = await pool.use((db) => work(db, signal), signal)
    for (const warning of warningsOf(result)) log({level: 'warn', event: 'warning', msg: apiWarning(warning)})
    return result
  }
}

const warningsOf = (result: unknown): readonly Warning[] =>
  (result as {warnings?: readonly Warning[]} | null | undefined)?.warnings ?? []
