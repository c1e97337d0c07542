import {bounded} from '../lib/outside-text.ts'

/** The value of a label in the text format of Prometheus. */
export function labelValue(text: string): string {
  const value = bounded(text)
  // Of 20,000 names, few need more.
  if (!/["\\\n]/.test(value)) return value
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')
}
