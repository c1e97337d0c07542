import {qualifiedName} from '../lib/identifier.ts'
import {printable} from '../lib/printable.ts'
import type {ViewName} from '../lib/records.ts'

/** `schema.view`, quoted where a command line needs it, fit for a terminal. */
export const printableName = (view: ViewName): string => printable(qualifiedName(view))
