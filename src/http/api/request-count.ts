import type {FastifyInstance} from 'fastify'
import {onceOver} from './until-gone.ts'

/** Knows when nothing is being answered any more. */
export interface RequestCount {
  drained(): Promise<void>
}

/** Counts the requests that are being answered; for an app that has no routes yet. */
export function countRequests(app: FastifyInstance): RequestCount {
  let running = 0
  let onDrained: (() => void) | null = null
  app.addHook('onRequest', async (_request, reply) => {
    running++
    // Also when the client went away, of which no hook tells.
    onceOver(reply, () => {
      running--
      if (running === 0) onDrained?.()
    })
  })
  return {
    drained: () =>
      new Promise((resolve) => {
        if (running === 0) resolve()
        else onDrained = resolve
      }),
  }
}
