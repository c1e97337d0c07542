import {useRef, useState} from 'preact/hooks'

/** A statement to paste elsewhere. */
export function Copyable({text}: {text: string}) {
  const code = useRef<HTMLElement>(null)
  const [outcome, setOutcome] = useState('')

  async function copy(): Promise<void> {
    try {
      await navigator.clipboard.writeText(text)
      setOutcome('Copied')
    } catch {
      // Without HTTPS a browser has no clipboard for pages.
      if (code.current) getSelection()?.selectAllChildren(code.current)
      setOutcome('Selected: copy it with the keyboard')
    }
  }

  return (
    <div class="copyable">
      <code ref={code}>{text}</code>
      <button type="button" onClick={copy}>
        Copy
      </button>
      <output>{outcome}</output>
    </div>
  )
}
