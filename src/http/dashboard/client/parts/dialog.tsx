import type {ComponentChildren} from 'preact'
import {useId, useLayoutEffect, useRef} from 'preact/hooks'

interface Props {
  title: string
  /** Called once it is closed, by Esc too. */
  onClose: () => void
  /** Gets what closes it. */
  children: (close: () => void) => ComponentChildren
}

/** A modal dialog. The browser keeps the focus in it, and gives it back to where it was. */
export function Dialog({title, onClose, children}: Props) {
  const dialog = useRef<HTMLDialogElement>(null)
  const titleId = useId()
  const isClosed = useRef(false)
  // Closed first and taken away then: the focus goes back only from a dialog that is still there. Taken away at
  // once: the event of closing comes later, and whoever presses a button before would be too early to open the
  // dialog again.
  const close = () => {
    if (isClosed.current) return
    isClosed.current = true
    dialog.current?.close()
    onClose()
  }
  const closeInOrder = (event: Event) => {
    event.preventDefault()
    close()
  }
  // Before the next key is pressed.
  useLayoutEffect(() => dialog.current?.showModal(), [])

  return (
    <dialog ref={dialog} onCancel={closeInOrder} onClose={close} aria-labelledby={titleId}>
      <h2 id={titleId}>{title}</h2>
      {children(close)}
    </dialog>
  )
}
