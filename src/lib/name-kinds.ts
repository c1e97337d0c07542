/** The kinds of names in a database that a shell completes. */
export const NAME_KINDS = ['views', 'unregistered', 'schedules', 'jobs'] as const

export type NameKind = (typeof NAME_KINDS)[number]
