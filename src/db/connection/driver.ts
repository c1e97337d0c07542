// The parts of pg that ayb uses, in one module that is loaded only to connect: pg takes at least 30 ms to
// load. Not its entry, which replaces the client if NODE_PG_FORCE_NATIVE is set.
export {default as Client} from 'pg/lib/client.js'
export {default as Query} from 'pg/lib/query.js'
