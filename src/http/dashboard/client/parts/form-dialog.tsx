import type {ComponentChildren} from 'preact'
import {useSubmission} from '../submission.ts'
import {Dialog} from './dialog.tsx'
import {ErrorNote} from './error-note.tsx'

interface Props {
  title: string
  /** What the button does, in a word or two. */
  action: string
  /** Whether there is anything to send yet. */
  isReady?: boolean
  children: ComponentChildren
  /** An error that it throws is shown, and the dialog stays open. */
  onSubmit: () => Promise<void>
  onClose: () => void
}

/** A form in a dialog. */
export function FormDialog({title, action, isReady = true, children, onSubmit, onClose}: Props) {
  const {isBusy, error, submit} = useSubmission(title)
  return (
    <Dialog title={title} onClose={onClose}>
      {(close) => (
        <form
          onSubmit={(event) => {
            event.preventDefault()
            if (!isReady) return
            submit(async () => {
              await onSubmit()
              close()
            })
          }}
        >
          {children}
          {error && <ErrorNote error={error} />}
          <div class="buttons">
            <button type="button" onClick={close}>
              Cancel
            </button>
            <button type="submit" class="primary" aria-disabled={isBusy || !isReady}>
              {action}
            </button>
          </div>
        </form>
      )}
    </Dialog>
  )
}
