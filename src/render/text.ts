import {qualifiedName} from '../lib/identifier.ts'
import {printable} from '../lib/printable.ts'
import type {ViewName} from '../lib/records/values.ts'

/** `schema.view` for a terminal, quoted where a command line needs quotes. */
export const printableName = (view: ViewName): string => printable(qualifiedName(view))
