import type {FastifyInstance} from 'fastify'
import {requireRegistration} from '../../../core/lookup.ts'
import {tune} from '../../../core/tune/tune.ts'
import {parseViewReference, qualifiedName} from '../../../lib/identifier.ts'
import {parseSetting} from '../../../lib/postgres-settings.ts'
import {workingFor} from '../answers.ts'
import type {ApiContext} from '../context.ts'
import {errorRecord} from '../errors.ts'
import {apiDocument} from '../remedies.ts'
import {BODIES, idOf} from '../schemas/requests.ts'
import {answering} from '../schemas/responses.ts'
import {untilGone} from '../until-gone.ts'

interface Tune {
  Params: {id: string}
  Body: {rounds: number; try: string[]; budgetMs: number; apply: boolean}
}

/** Which settings are fastest. */
export function tuneRoutes(app: FastifyInstance, context: ApiContext): void {
  const work = workingFor(context)
  const {refreshes, log, cutOff, onRefresh} = context
  app.post<Tune>(
    '/matviews/:id/tune',
    {
      schema: {
        tags: ['Refreshes'],
        summary: 'Refresh a view with several settings, and show which are fastest',
        description:
          'Tries the present settings of the view, then other settings, and both modes if the view can be refreshed concurrently. Each refresh is a real refresh, and is in the history: in standard mode, readers wait while it runs. Answers when all is measured. If the client disconnects before the answer, the server cancels what runs, and nothing is changed.',
        params: idOf("A registration's id, schema.view, or a view in schema public"),
        body: BODIES.tuning,
        response: answering('Tuning', 'What each refresh took, and which settings are fastest'),
      },
    },
    async ({params: {id}, body}, reply) => {
      const {rounds, budgetMs, apply: isApplied} = body
      const tries = body.try.map((text) => parseSetting(text, 'try in the body'))
      // Reports a missing view before waiting for a free session.
      const registration = await work(reply, (db) => requireRegistration(db, parseViewReference(id)))
      const view = qualifiedName(registration)
      const signal = untilGone(reply, cutOff)
      const tuned = await refreshes.use(
        (db) =>
          tune(
            db,
            {id: registration.id},
            {
              ...{rounds, tries, budgetMs, isApplied, signal},
              onRefresh({candidate: {mode, settings}, round}) {
                const set = Object.entries(settings).map(([name, value]) => `${name}=${value}`)
                const msg = `tuning, round ${round} of ${rounds}: ${[mode, ...set].join(' ')}:`
                log({level: 'info', event: 'refresh.tuning', msg, view})
              },
              onEnd: (end) => onRefresh({view, ...end}),
              describeError: errorRecord,
            },
          ),
        signal,
      )
      const answer = apiDocument(tuned)
      for (const msg of answer.warnings) log({level: 'warn', event: 'warning', msg, view})
      return answer
    },
  )
}
