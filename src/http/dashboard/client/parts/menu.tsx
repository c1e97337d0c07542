import {useId, useLayoutEffect, useRef, useState} from 'preact/hooks'

interface Action {
  label: string
  onSelect: () => void
  isDanger?: boolean
}

interface Props {
  /** What the actions are for: the name of the button. */
  label: string
  actions: readonly Action[]
}

/** A button with further actions, as WAI-ARIA describes a menu button. */
export function Menu({label, actions}: Props) {
  const [isOpen, setOpen] = useState(false)
  const root = useRef<HTMLDivElement>(null)
  const button = useRef<HTMLButtonElement>(null)
  const list = useRef<HTMLDivElement>(null)
  const id = useId()
  const items = () => [...(root.current?.querySelectorAll<HTMLElement>('[role=menuitem]') ?? [])]

  // Before the next key is pressed.
  useLayoutEffect(() => {
    if (!isOpen) return
    // The last row of a page has no room below it.
    list.current?.scrollIntoView({block: 'nearest'})
    items()[0]?.focus({preventScroll: true})
    const leave = (event: Event) => {
      if (!root.current?.contains(event.target as Node)) setOpen(false)
    }
    document.addEventListener('pointerdown', leave)
    document.addEventListener('focusin', leave)
    return () => {
      document.removeEventListener('pointerdown', leave)
      document.removeEventListener('focusin', leave)
    }
  }, [isOpen])

  const close = () => {
    button.current?.focus()
    setOpen(false)
  }

  function onKeyDown(event: KeyboardEvent): void {
    const all = items()
    const place = all.indexOf(document.activeElement as HTMLElement)
    const next = {
      ArrowDown: all[(place + 1) % all.length],
      ArrowUp: all.at(place <= 0 ? -1 : place - 1),
      Home: all[0],
      End: all.at(-1),
    }[event.key]
    if (next) next.focus()
    else if (event.key === 'Escape') close()
    else return
    event.preventDefault()
  }

  return (
    <div class="menu" ref={root}>
      <button
        ref={button}
        type="button"
        aria-label={label}
        aria-haspopup="menu"
        aria-expanded={isOpen}
        aria-controls={isOpen ? id : undefined}
        onClick={() => setOpen(!isOpen)}
      >
        <span aria-hidden="true">⋯</span>
      </button>
      {isOpen && (
        <div
          ref={list}
          class="menu-items"
          role="menu"
          tabIndex={-1}
          id={id}
          aria-label={label}
          onKeyDown={onKeyDown}
        >
          {actions.map(({label: name, onSelect, isDanger}) => (
            <button
              key={name}
              type="button"
              role="menuitem"
              tabIndex={-1}
              class={isDanger ? 'danger' : undefined}
              onClick={() => {
                close()
                onSelect()
              }}
            >
              {name}
            </button>
          ))}
        </div>
      )}
    </div>
  )
}
