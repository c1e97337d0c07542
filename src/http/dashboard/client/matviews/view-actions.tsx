import type {Registration} from '../../../../lib/records/registrations.ts'
import {useMayChange} from '../access.ts'
import {viewTitle} from '../format.ts'
import {Menu} from '../parts/menu.tsx'

interface Props {
  registration: Registration
  isBusy: boolean
  /** Follows the view to its new name; undefined where it was not renamed. */
  onFollow?: (() => void) | undefined
  onRefresh: () => void
  onCascade: () => void
  onEdit: () => void
  onUnregister: () => void
}

/** What can be done with a view; nothing for whoever may only read. */
export function ViewActions({
  registration,
  isBusy,
  onRefresh,
  onCascade,
  onFollow,
  onEdit,
  onUnregister,
}: Props) {
  const mayChange = useMayChange()
  if (!mayChange) return null
  const title = viewTitle(registration)
  return (
    <>
      <button type="button" onClick={onRefresh} aria-disabled={isBusy} aria-label={`Refresh ${title}`}>
        Refresh
      </button>
      <Menu
        label={`More for ${title}`}
        actions={[
          ...(onFollow ? [{label: 'Follow the view to its new name', onSelect: onFollow}] : []),
          {label: 'Refresh with the views that read it', onSelect: onCascade},
          {label: 'Edit settings', onSelect: onEdit},
          {label: 'Unregister', onSelect: onUnregister, isDanger: true},
        ]}
      />
    </>
  )
}
