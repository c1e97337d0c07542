import {dropOnAbort} from '../lib/abort.ts'
import {otherDatabase, pooledReading, tooMuchToLose} from '../lib/failures/collections.ts'
import type {ConnectOptions} from './connection/connect.ts'
import type {Database} from './database.ts'
import {type OpenOptions, Session} from './session.ts'
import {SYSTEM_TABLES} from './system.ts'

interface Identity {
  system: string
  databaseId: string
  database: string
  /**
   * The role that statements run as, and the one that logged in: SET ROLE in a role's defaults makes them
   * two.
   */
  roles: string[]
}

/** The database of `ayb serve`, and its role, as which a separate login must not be able to act. */
export interface Home extends Identity {
  systemSchema: string
}

/**
 * A session that reads views, as the role of `ayb serve` or as a separate login with few rights. A read can
 * run code of other roles, so the session is reset after each read.
 */
export class Reader {
  readonly session: Session
  readonly #home: Home | null

  private constructor(session: Session, home: Home | null) {
    this.session = session
    this.#home = home
  }

  /**
   * Connects. With `home`, for a separate login, checks that the login leads to the same database and has few
   * rights. Null reads as the role of the connection.
   * @throws AybError CONNECTION_FAILED, UNSUPPORTED_SERVER, PERMISSION_DENIED
   */
  static async open(options: ConnectOptions & OpenOptions, home: Home | null): Promise<Reader> {
    const session = await Session.open(options)
    try {
      if (session.isPooled) throw pooledReading()
      const reader = new Reader(session, home)
      await dropOnAbort(session, options.signal, () => reader.#check())
      return reader
    } catch (error) {
      await session.close()
      throw error
    }
  }

  /** Whether a read may run code of any role, since the login has few rights. */
  get hasLittleToLose(): boolean {
    return this.#home !== null
  }

  /**
   * Checks that the session works, and checks the rights of its login again, which can change at any time.
   * @throws AybError CONNECTION_LOST, PERMISSION_DENIED
   */
  async renew({deadlineMs}: {deadlineMs: number}): Promise<void> {
    const session = this.session.within(deadlineMs)
    if (this.#home) await requireLittleToLose(session, this.#home)
    else await session.query('select')
  }

  /** For a pool, which reports nothing itself: errors of reads say everything. */
  async explain(error: unknown): Promise<unknown> {
    return error
  }

  async close(): Promise<void> {
    await this.session.close()
  }

  async #check(): Promise<void> {
    if (!this.#home) return
    const here = await identify(this.session)
    if (here.system !== this.#home.system || here.databaseId !== this.#home.databaseId) {
      throw otherDatabase(here.database, this.#home.database)
    }
    await requireLittleToLose(this.session, this.#home)
  }
}

/** The database and the role of `db`, which a separate login is checked against. */
export async function homeOf(db: Database): Promise<Home> {
  return {...(await identify(db.session)), systemSchema: db.systemSchema}
}

async function identify(session: Session): Promise<Identity> {
  const [row] = await session.query<Identity>(
    `select (select system_identifier::text from pg_control_system()) as system,
            d.oid::text as "databaseId", d.datname::text as database,
            (select array_agg(r.oid::text) from pg_roles r where r.rolname in (current_user, session_user)) as roles
       from pg_database d
      where d.datname = current_database()`,
  )
  return row as Identity
}

const WRITER = 'may write the tables of ayb'

/**
 * Refuses a role whose rights, its own or inherited, would let foreign code do harm. The error names the role
 * that holds the right to write before the login that inherits the right.
 */
async function requireLittleToLose(session: Session, {roles, systemSchema}: Home): Promise<void> {
  const [found] = await session.query<{login: string; role: string; isLogin: boolean; reason: string}>(
    `with recursive reachable as (
       select r.oid from pg_roles r where r.rolname in (current_user, session_user)
        union
       select m.roleid from reachable r join pg_auth_members m on m.member = r.oid),
     system_tables as (
       select c.oid from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = $1 and c.relname = any ($2::text[])),
     judged as (
       select r.rolname, r.rolname in (current_user, session_user) as is_login,
              case when r.rolsuper then 'is a superuser'
                   when r.rolcreaterole then 'may create roles (CREATEROLE)'
                   when r.rolreplication then 'may replicate (REPLICATION)'
                   when r.rolbypassrls then 'passes over row security (BYPASSRLS)'
                   when r.oid = any ($3::oid[]) then 'is the role that ayb itself connects as'
                   when r.rolname ~ '^pg_' then 'is a predefined role'
                   when exists (select from pg_shdepend d
                                 where d.refclassid = 'pg_authid'::regclass and d.refobjid = r.oid and d.deptype = 'o')
                     then 'owns something'
                   when exists (select from system_tables t
                                 where has_table_privilege(r.oid, t.oid, 'INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')
                                    or has_any_column_privilege(r.oid, t.oid, 'INSERT, UPDATE, REFERENCES'))
                     then '${WRITER}' end as reason
         from reachable join pg_roles r on r.oid = reachable.oid)
     select session_user::text as login, j.rolname::text as role, j.is_login as "isLogin", j.reason
       from judged j
      where j.reason is not null
      order by j.reason = '${WRITER}', (j.reason = '${WRITER}') <> j.is_login desc, j.rolname
      limit 1`,
    [systemSchema, Object.values(SYSTEM_TABLES), roles],
  )
  if (found) throw tooMuchToLose(found)
}
