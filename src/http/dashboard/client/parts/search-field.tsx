import {useEffect, useState} from 'preact/hooks'

/** Somebody who types sends one request, not one for each letter. */
const TYPING_MS = 200

interface Props {
  label: string
  /** As the address has it. */
  search: string
  /** The address of the page with that search. */
  linkOf: (search: string) => string
}

/** A search whose text is part of the address. */
export function SearchField({label, search, linkOf}: Props) {
  const [text, setText] = useState(search)
  useEffect(() => setText(search), [search])
  useEffect(() => {
    if (text === search) return
    const timer = setTimeout(() => {
      // Without a step back for each letter.
      history.replaceState(null, '', linkOf(text))
      dispatchEvent(new HashChangeEvent('hashchange'))
    }, TYPING_MS)
    return () => clearTimeout(timer)
  }, [text, search, linkOf])
  return (
    <input
      type="search"
      aria-label={label}
      placeholder={label}
      value={text}
      onInput={({currentTarget}) => setText(currentTarget.value)}
    />
  )
}
