// What somebody would write who has node-postgres and no ayb: `list`, or `refresh` and a view.
import pg from 'pg'

const LIST = `select r.*,
       exists (select from pg_class c join pg_namespace n on n.oid = c.relnamespace
                where n.nspname = r.schema_name and c.relname = r.view_name and c.relkind = 'm') as "exists",
       (select min(s.next_run_at) from _ayb_job_schedules s
         where s.enabled and coalesce(s.payload->>'schema', 'public') = r.schema_name
           and s.payload->>'view_name' = r.view_name) as next_run_at
  from _ayb_matview_refreshes r order by r.schema_name, r.view_name`

const [command, view] = process.argv.slice(2)
const client = new pg.Client({connectionString: process.env.DATABASE_URL})
await client.connect()
if (command === 'list') process.stdout.write(`${JSON.stringify((await client.query(LIST)).rows)}\n`)
else await client.query(`refresh materialized view ${client.escapeIdentifier(view)}`)
await client.end()
