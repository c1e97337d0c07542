import {bounded} from '../lib/outside-text.ts'

/** The value of a label in the text format of Prometheus. */
export const labelValue = (text: string): string =>
  bounded(text).replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')
