/** The types of pg describe only its entry. */
declare module 'pg/lib/client.js' {
  import type pg from 'pg'

  const Client: typeof pg.Client
  export default Client
}

declare module 'pg/lib/query.js' {
  import type pg from 'pg'

  const Query: typeof pg.Query
  export default Query
}
