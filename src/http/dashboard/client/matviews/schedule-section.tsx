import type {Schedule} from '../../../../lib/records/schedules.ts'
import {Badge} from '../parts/badge.tsx'
import {Breakable} from '../parts/breakable.tsx'
import {Time} from '../parts/time.tsx'

/** The schedules of a view. */
export function ScheduleSection({schedules}: {schedules: readonly Schedule[]}) {
  return (
    <section class="panel" aria-labelledby="schedules">
      <h2 id="schedules">Schedules</h2>
      {schedules.length === 0 ? (
        <p class="hint">
          No schedule refreshes this view by itself. <a href="#/schedules">Schedules</a>
        </p>
      ) : (
        <table class="cards">
          <thead>
            <tr>
              <th>Name</th>
              <th>Cron</th>
              <th>State</th>
              <th>Next run</th>
              <th>Last run</th>
            </tr>
          </thead>
          <tbody>
            {schedules.map(({id, name, cronExpr, timezone, enabled, nextRunAt, lastRunAt}) => (
              <tr key={id}>
                <td data-label="Name" class="name">
                  <Breakable text={name} />
                </td>
                <td data-label="Cron">
                  <code>{cronExpr}</code> <span class="hint">{timezone}</span>
                </td>
                <td data-label="State">
                  <Badge state={enabled ? 'enabled' : 'disabled'} />
                </td>
                <td data-label="Next run">{enabled && nextRunAt ? <Time at={nextRunAt} /> : '–'}</td>
                <td data-label="Last run">{lastRunAt ? <Time at={lastRunAt} /> : 'never'}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  )
}
