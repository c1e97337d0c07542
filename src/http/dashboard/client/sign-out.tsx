import {useState} from 'preact/hooks'
import {ConfirmDialog} from './parts/confirm-dialog.tsx'

interface Props {
  /** How many refreshes signing out would cancel. */
  underWay: number
  onSignOut: () => void
}

/** The way out; asks first while it would cancel something. */
export function SignOut({underWay, onSignOut}: Props) {
  const [isAsking, setAsking] = useState(false)
  return (
    <>
      <button type="button" class="quiet" onClick={() => (underWay > 0 ? setAsking(true) : onSignOut())}>
        Sign out
      </button>
      {isAsking && (
        <ConfirmDialog
          title="Sign out"
          action="Sign out"
          keep="Stay signed in"
          onConfirm={async () => onSignOut()}
          onClose={() => setAsking(false)}
        >
          <p>{consequence(underWay)}</p>
        </ConfirmDialog>
      )}
    </>
  )
}

function consequence(underWay: number): string {
  if (underWay === 0) return 'The refreshes have ended.'
  return underWay === 1
    ? 'A refresh that was started here is under way. Signing out cancels it.'
    : `${underWay} refreshes that were started here are under way. Signing out cancels them.`
}
