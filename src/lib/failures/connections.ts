/** The server refuses further connections (SQLSTATE 53300), while a session starts or behind a statement. */
export const FREE_CONNECTIONS_HINT =
  'end idle sessions, or connect through a pooler; the limit is max_connections, or that of a role or a database: ALTER ROLE … CONNECTION LIMIT'
