import type {ListedSchedule} from '../../../../lib/records/schedules.ts'
import {useMayChange} from '../access.ts'
import {quotedView} from '../format.ts'
import {Badge} from '../parts/badge.tsx'
import {Breakable} from '../parts/breakable.tsx'
import {Menu} from '../parts/menu.tsx'
import {Time} from '../parts/time.tsx'
import {payloadTitle, payloadView} from '../payload.ts'
import {viewLink} from '../routes.ts'
import {Timing} from './timing.tsx'

interface Props {
  schedule: ListedSchedule
  onRun: () => void
  onToggle: () => void
  onEdit: () => void
  onDelete: () => void
}

const SCOPES = {
  cascade: 'and the views that read it',
  dependencies: 'and the views that it reads',
  both: 'and the views that it reads, and that read it',
}

export function ScheduleRow({schedule, onRun, onToggle, onEdit, onDelete}: Props) {
  const {name, payload, enabled, nextRunAt, lastRunAt, lastRunStatus, scope} = schedule
  const view = payloadView(payload)
  const mayChange = useMayChange()
  const toggle = enabled ? 'Disable' : 'Enable'
  return (
    <tr>
      <td data-label="Name" class="name">
        <Breakable text={name} />
      </td>
      <td data-label="View" class="wide">
        {view ? (
          <a href={viewLink(quotedView(view))}>
            <Breakable text={payloadTitle(payload)} />
          </a>
        ) : (
          <Breakable text={payloadTitle(payload)} />
        )}
        {scope && <span class="hint"> {SCOPES[scope]}</span>}
      </td>
      <td data-label="When">
        <Timing schedule={schedule} />
      </td>
      <td data-label="State">
        <Badge state={enabled ? 'enabled' : 'disabled'} />
      </td>
      <td data-label="Next run">{enabled && nextRunAt ? <Time at={nextRunAt} /> : '–'}</td>
      <td data-label="Last run">
        {lastRunAt ? <Time at={lastRunAt} /> : 'never'} {lastRunStatus && <Badge state={lastRunStatus} />}
      </td>
      <td data-label="Actions" class="actions">
        {mayChange && (
          <>
            <button type="button" onClick={onRun} aria-label={`Run ${name} now`}>
              Run
            </button>
            <Menu
              label={`More for ${name}`}
              actions={[
                {label: toggle, onSelect: onToggle},
                {label: 'Edit', onSelect: onEdit},
                {label: 'Delete', onSelect: onDelete, isDanger: true},
              ]}
            />
          </>
        )}
      </td>
    </tr>
  )
}
