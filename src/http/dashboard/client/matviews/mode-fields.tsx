import type {RequestedMode} from '../../../../lib/records/values.ts'
import type {View} from '../../../../lib/records/views.ts'
import {Copyable} from '../parts/copyable.tsx'

interface Props {
  mode: RequestedMode
  /** Undefined while it is not known. */
  view: View | undefined
  onChange: (mode: RequestedMode) => void
}

const MODES: {mode: RequestedMode; text: string}[] = [
  {mode: 'standard', text: 'Standard: fastest; readers wait during a refresh'},
  {mode: 'concurrent', text: 'Concurrent: readers do not wait; needs a unique index and a populated view'},
  {mode: 'auto', text: 'Auto: concurrent where that works, else standard'},
]

/** The choice of a refresh mode, and what concurrent mode still lacks. */
export function ModeFields({mode, view, onChange}: Props) {
  return (
    <>
      <fieldset>
        <legend>Refresh mode</legend>
        {MODES.map((each) => (
          <label key={each.mode} class="choice">
            <input
              type="radio"
              name="mode"
              value={each.mode}
              checked={each.mode === mode}
              onChange={() => onChange(each.mode)}
            />
            {each.text}
          </label>
        ))}
      </fieldset>
      <div aria-live="polite">
        {mode === 'concurrent' && view && !view.concurrentReady && <Blockers view={view} />}
      </div>
    </>
  )
}

export function Blockers({view}: {view: View}) {
  return (
    <div class="blockers">
      <p>
        <strong>Not ready for concurrent mode.</strong> Run this in the database; the page updates by itself.
      </p>
      {view.concurrentBlockers.map(({code, message, hint}) => (
        <div key={code}>
          <p>{message}</p>
          <Copyable text={hint} />
        </div>
      ))}
    </div>
  )
}
