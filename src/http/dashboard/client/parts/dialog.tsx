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
  // Closed first and taken away then: the focus goes back only from a dialog that is still there.
  const close = () => dialog.current?.close()
  // Before the next key is pressed.
  useLayoutEffect(() => dialog.current?.showModal(), [])

  return (
    <dialog ref={dialog} onClose={onClose} aria-labelledby={titleId}>
      <h2 id={titleId}>{title}</h2>
      {children(close)}
    </dialog>
  )
}
