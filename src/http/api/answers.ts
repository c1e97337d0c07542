import type {FastifyReply} from 'fastify'
import type {DatabaseWork} from '../../db/pool.ts'
import type {ApiContext} from './context.ts'
import {untilGone} from './until-gone.ts'

/** A list, as all of them are answered. */
export const itemsOf = <T>(items: readonly T[]) => ({items, count: items.length})

/**
 * Runs short work for an answer. Skips the work if the client has disconnected by the time a session is free.
 * Warnings that are not part of the answer go to the log.
 */
export function workingFor({pool, cutOff, log}: ApiContext) {
  return async <T>(reply: FastifyReply, work: DatabaseWork<T>): Promise<T> => {
    const result = await pool.use(work, untilGone(reply, cutOff))
    for (const msg of warningsOf(result)) log({level: 'warn', msg})
    return result
  }
}

const warningsOf = (result: unknown): readonly string[] =>
  (result as {warnings?: readonly string[]} | null | undefined)?.warnings ?? []
