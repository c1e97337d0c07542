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
  // Close the dialog before it is removed: the browser gives the focus back only from a dialog that is still in
  // the page. Do not wait for the event of closing: a button that is pressed before that event could not open
  // the dialog again.
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
  // A layout effect, so that the dialog is open before the next key is pressed.
  useLayoutEffect(() => dialog.current?.showModal(), [])

  return (
    <dialog ref={dialog} onCancel={closeInOrder} onClose={close} aria-labelledby={titleId}>
      <h2 id={titleId}>{title}</h2>
      {children(close)}
    </dialog>
  )
}
