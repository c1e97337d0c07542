/** An error as a table shows it beside its view: the cause, without the name of the view before it. */
export const causeOf = (error: string | null): string | null =>
  error === null ? null : error.replace(/^the refresh of .+? failed: /, '')
