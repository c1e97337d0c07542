/** The most names in a text. A longer list is cut. */
const MOST_LISTED = 5

/** `public.a, public.b and public.c`; of a long list `public.a, public.b, … and 12 more`. */
export function shortList(names: readonly string[]): string {
  const isCut = names.length > MOST_LISTED + 1
  const shown = isCut ? names.slice(0, MOST_LISTED) : names.slice(0, -1)
  const last = isCut ? `${names.length - MOST_LISTED} more` : (names.at(-1) ?? '')
  return shown.length === 0 ? last : `${shown.join(', ')} and ${last}`
}
