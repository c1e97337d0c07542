import type {Schedule} from '../../../../lib/records/schedules.ts'
import {Badge} from '../parts/badge.tsx'
import {Breakable} from '../parts/breakable.tsx'
import {Time} from '../parts/time.tsx'
import {Timing} from '../schedules/timing.tsx'

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
              <th>When</th>
              <th>State</th>
              <th>Next run</th>
              <th>Last run</th>
            </tr>
          </thead>
          <tbody>
            {schedules.map((schedule) => (
              <tr key={schedule.id}>
                <td data-label="Name" class="name">
                  <Breakable text={schedule.name} />
                </td>
                <td data-label="When">
                  <Timing schedule={schedule} />
                </td>
                <td data-label="State">
                  <Badge state={schedule.enabled ? 'enabled' : 'disabled'} />
                </td>
                <td data-label="Next run">
                  {schedule.enabled && schedule.nextRunAt ? <Time at={schedule.nextRunAt} /> : '–'}
                </td>
                <td data-label="Last run">
                  {schedule.lastRunAt ? <Time at={schedule.lastRunAt} /> : 'never'}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  )
}
