import type {ComponentChildren} from 'preact'
import {useSubmission} from '../submission.ts'
import {Dialog} from './dialog.tsx'
import {ErrorNote} from './error-note.tsx'

interface Props {
  /** What is asked about, without a question mark. */
  title: string
  /** What the button does, in a word. */
  action: string
  /** The label of the other button. */
  keep: string
  children: ComponentChildren
  onConfirm: () => Promise<void>
  onClose: () => void
}

/** Asks before something is taken away. */
export function ConfirmDialog({title, action, keep, children, onConfirm, onClose}: Props) {
  const {isBusy, error, submit} = useSubmission(title)
  return (
    <Dialog title={`${title}?`} onClose={onClose}>
      {(close) => (
        <>
          {children}
          {error && <ErrorNote error={error} />}
          <div class="buttons">
            <button type="button" onClick={close}>
              {keep}
            </button>
            <button
              type="button"
              class="danger"
              aria-disabled={isBusy}
              onClick={() =>
                submit(async () => {
                  await onConfirm()
                  close()
                })
              }
            >
              {action}
            </button>
          </div>
        </>
      )}
    </Dialog>
  )
}
