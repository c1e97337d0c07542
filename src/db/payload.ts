/**
 * A stored payload may have 255 MB. To look into one of 10 MB takes the server 20 ms, at each look at the
 * queue; and a list can have 10,000 rows, which are one text in memory.
 */
const MOST_BYTES = 16_384

/**
 * SQL: whether the payload is small enough to be looked into; its stored size is known without reading it.
 */
const isReadable = (payload: string): string => `pg_column_size(${payload}) <= ${MOST_BYTES}`

/**
 * SQL: the payload under that alias; null where it is too large to be looked into, so that it names no view.
 */
export const readablePayload = (payload: string): string =>
  `(case when ${isReadable(payload)} then ${payload} end)`

/** SQL: the payload under that alias, or a note that it is too large. */
export const payloadOrNote = (payload: string): string =>
  `(case when ${isReadable(payload)} then ${payload} else jsonb_build_object('not_shown', ${sizeNote(payload)}) end)`

const sizeNote = (payload: string): string =>
  `format('%s bytes, and at most ${MOST_BYTES} are read', pg_column_size(${payload}))`

/** Of a name: 63 bytes, each written as \u0000 at the most. */
const name = (key: string): string =>
  `case when octet_length((p.payload->'${key}')::text) <= 400 then p.payload->'${key}' end`

/**
 * SQL: the payload under that alias as JSON text; of a longer one than lists can carry, what names the view,
 * and a note.
 */
export const payloadJson = (payload: string): string =>
  `(select case when octet_length(p.json) <= ${MOST_BYTES} then p.json
                     else jsonb_strip_nulls(jsonb_build_object('schema', ${name('schema')}, 'view_name', ${name('view_name')},
                            'not_shown', format('%s bytes, more than the ${MOST_BYTES} that are shown', octet_length(p.json))))::text end
                from (select q.payload, q.payload::text as json
                        from (select ${payloadOrNote(payload)} as payload offset 0) q offset 0) p)`

/** SQL: the view that a payload names: its schema, its name, and both as lockName writes them. */
export function viewInPayload(payload: string): Record<'schema' | 'view' | 'name', string> {
  const schema = `coalesce(${payload}->>'schema', 'public')`
  const view = `(${payload}->>'view_name')`
  return {schema, view, name: `(${schema} || '.' || ${view})`}
}

/** SQL: the view that the payload of a job under that alias names, as the text its lock is hashed from. */
export const lockNameOf = (alias: string): string => viewInPayload(readablePayload(`${alias}.payload`)).name
