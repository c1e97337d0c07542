const SHORT = 160

/** A text of any length: a long text opens on demand. */
export function LongText({text}: {text: string}) {
  if (text.length <= SHORT && !text.includes('\n')) return <span class="long-text">{text}</span>
  const start = text.slice(0, SHORT).split('\n', 1)[0] ?? ''
  return (
    <details class="long-text">
      <summary>{start}…</summary>
      <pre>{text}</pre>
    </details>
  )
}
