/** pg's own types tell of its entry alone. */
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
