import type {ViewDefinition} from '../../../../lib/records/views.ts'
import {formatSize} from '../format.ts'
import {Badge} from '../parts/badge.tsx'

/** The query of a view, and its indexes. */
export function DefinitionSection({made: {definition, indexes}}: {made: ViewDefinition}) {
  return (
    <section class="panel" aria-labelledby="definition">
      <h2 id="definition">Definition</h2>
      {definition === null ? (
        <p class="hint">A refresh holds the view, so its query cannot be read right now.</p>
      ) : (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: a text that scrolls is to be scrolled by the keyboard, too
        <section class="code" tabIndex={0} aria-label="The query of the view">
          <pre>{definition}</pre>
        </section>
      )}
      <h3>Indexes</h3>
      {indexes.length === 0 ? (
        <p class="hint">The view has no index.</p>
      ) : (
        <ul class="indexes">
          {indexes.map(({name, definition: statement, unique, valid, sizeBytes, scans}) => (
            <li key={name}>
              <strong>{name}</strong> {unique && <Badge state="unique" />}
              {!valid && <Badge state="not valid" />}
              <span class="hint">
                {formatSize(sizeBytes)}, {scans === 1 ? 'read once' : `read ${scans} times`}
              </span>
              {statement && <code>{statement}</code>}
            </li>
          ))}
        </ul>
      )}
    </section>
  )
}
