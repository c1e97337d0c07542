import type {Registration} from '../lib/records/registrations.ts'

type Modes = Pick<Registration, 'refreshMode' | 'policy'>

/** For a table: `concurrent`, or `auto (concurrent)` where the policy of the view says auto. */
export const describeMode = ({refreshMode, policy}: Modes): string =>
  policy?.mode === 'auto' ? `auto (${refreshMode})` : refreshMode

/** For a sentence: `concurrent mode`, or `auto mode, now concurrent`. */
export const modePhrase = ({refreshMode, policy}: Modes): string =>
  policy?.mode === 'auto' ? `auto mode, now ${refreshMode}` : `${refreshMode} mode`
