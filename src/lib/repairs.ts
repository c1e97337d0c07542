import type {RenamedView} from './records/registrations.ts'
import type {RequestedMode, ViewName} from './records/values.ts'

/** A command that mends something, as data: the command line words it. */
export type Repair =
  | {kind: 'refresh'; view: ViewName; mode: RequestedMode | null}
  | {kind: 'set-mode'; view: ViewName; mode: RequestedMode}
  | {kind: 'unregister'; view: ViewName}
  | {kind: 'relink'; renamed: RenamedView}
  | {kind: 'cascade-schedule'; schedule: string}
  | {kind: 'retime-schedule'; schedule: string}
  | {kind: 'enable-schedule'; schedule: string}
  | {kind: 'disable-schedule'; schedule: string}
  | {kind: 'tune'; view: ViewName}
  | {kind: 'show-history'; view: ViewName}
  | {kind: 'start-worker'}
