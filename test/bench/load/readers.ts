import pg from 'pg'

/** A read of a view. Instants and durations are in milliseconds, by the clock of this process. */
export interface Read {
  startedAt: number
  /** How long the read waited for its lock on the view, by the server's clock. */
  waitedMs: number
}

/** Sessions that read a view, each again as soon as its read has ended. */
export interface Readers {
  /** The reads that have ended. */
  reads: readonly Read[]
  /** Waits until each read that has begun by then has ended. */
  settle(): Promise<void>
  /** Lets each read end, then closes the sessions. */
  stop(): Promise<void>
}

/** Starts so many readers of the view. Each of their reads takes between `leastMs` and `mostMs`. */
export async function startReaders(
  url: string,
  view: string,
  {count, leastMs, mostMs}: {count: number; leastMs: number; mostMs: number},
): Promise<Readers> {
  const reads: Read[] = []
  const clients: pg.Client[] = []
  const underWay = new Set<Promise<void>>()
  let isStopped = false
  let failure: unknown
  while (clients.length < count) clients.push(await connect(url))

  const loops = clients.map(async (client) => {
    while (!isStopped) {
      const read = readOnce(client)
      underWay.add(read)
      await read
      underWay.delete(read)
    }
  })
  const all = Promise.all(loops).catch((error: unknown) => {
    isStopped = true
    failure = error
  })

  async function readOnce(client: pg.Client): Promise<void> {
    const startedAt = performance.now()
    const takesMs = leastMs + Math.random() * (mostMs - leastMs)
    const waitedMs = await readView(client, view, takesMs)
    reads.push({startedAt, waitedMs})
  }

  return {
    reads,
    async settle() {
      await Promise.allSettled(underWay)
      if (failure !== undefined) throw failure
    },
    async stop() {
      isStopped = true
      await all
      await Promise.all(clients.map((client) => client.end()))
    },
  }
}

/** One read of the view that takes so long once it has its lock. */
export async function readFor(url: string, view: string, takesMs: number): Promise<void> {
  const client = await connect(url)
  try {
    await readView(client, view, takesMs)
  } finally {
    await client.end()
  }
}

async function connect(url: string): Promise<pg.Client> {
  const client = new pg.Client({connectionString: url})
  await client.connect()
  return client
}

/**
 * Reads the view, which has one row, and returns how long that waited. Without parameters, so that the
 * statement begins before Postgres locks the view.
 */
async function readView(client: pg.Client, view: string, takesMs: number): Promise<number> {
  const {rows} = await client.query<{waited_ms: number}>(
    `select (extract(epoch from clock_timestamp() - statement_timestamp()) * 1000)::float8 as waited_ms,
            pg_sleep(${takesMs / 1000})
       from ${view}`,
  )
  return rows[0]?.waited_ms ?? Number.NaN
}
