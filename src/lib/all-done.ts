/**
 * As Promise.all, but where one rejects, waits for the others, too: else they would go on using a session that
 * the caller has given to somebody else.
 */
export async function allDone<T extends readonly unknown[] | []>(
  work: T,
): Promise<{-readonly [K in keyof T]: Awaited<T[K]>}> {
  await Promise.allSettled(work)
  return Promise.all(work)
}
