import type {ViewPolicy} from '../../../../lib/records/registrations.ts'
import type {View} from '../../../../lib/records/views.ts'
import {Blockers} from './mode-fields.tsx'

/** Whether the view can be refreshed concurrently, and whether a refresh can be skipped; if not, why. */
export function ReadinessSection({view, policy}: {view: View; policy: ViewPolicy | null}) {
  const {concurrentReady, skippable, skipBlockers} = view
  const isSkipped = policy?.skipUnchanged === true
  return (
    <section class="panel" aria-labelledby="readiness">
      <h2 id="readiness">How it can be refreshed</h2>
      {concurrentReady ? (
        <p>Concurrent mode works: readers do not wait during a refresh.</p>
      ) : (
        <Blockers view={view} />
      )}
      {skippable ? (
        <p>
          {isSkipped
            ? 'Workers skip the view while nothing that it reads has changed.'
            : 'ayb can tell whether anything has changed that the view reads. Workers refresh the view all the same, since nobody has asked to skip it.'}
        </p>
      ) : (
        <>
          <p>The view is always refreshed{isSkipped ? ', although skipping is on' : ''}:</p>
          <ul>
            {skipBlockers.map(({code, message}) => (
              <li key={`${code} ${message}`}>{message}</li>
            ))}
          </ul>
        </>
      )}
    </section>
  )
}
