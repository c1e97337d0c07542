import type {ComponentChildren} from 'preact'

/** Names and what they are worth, in columns. */
export function Facts({facts}: {facts: readonly (readonly [string, ComponentChildren])[]}) {
  return (
    <dl class="facts">
      {facts.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  )
}
