/** What the API tells of the server and its database. */
export interface ServerFacts {
  database: string
  /** Null for a socket. */
  host: string | null
  /** The role that ayb connects as. */
  role: string
  serverVersion: string
  /** Of ayb. */
  version: string
  /** `read` for the read-only token. */
  access: 'admin' | 'read'
  /** How many workers are alive; null on a standby. */
  workers: number | null
}
