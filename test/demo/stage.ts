import {mkdtempSync, rmSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {startPostgres} from '../support/postgres.ts'
import {SqlSession} from './session.ts'
import {Shell} from './shell.ts'
import {Workers} from './workers.ts'

const DATABASE = 'fitness'

/** A part of the story. */
export interface Step {
  title: string
  play(stage: Stage): Promise<void>
}

/** What a step has to play with. */
export interface Stage {
  databaseUrl: string
  shell: Shell
  workers: Workers
  /** The owner of the data, at a psql prompt. */
  owner: SqlSession
  /** Opens a session of somebody else, closed with the stage at the latest. */
  openSession(name: string): Promise<SqlSession>
  /** Ends all that runs, and leaves nothing behind; so does the end of the process, however it comes. */
  close(): Promise<void>
}

/** Starts a private server with an empty database, and a shell that is connected to it. */
export async function openStage(program: string): Promise<Stage> {
  let shell: Shell | undefined
  let home: string | undefined
  const clear = () => {
    shell?.kill()
    if (home !== undefined) rmSync(home, {recursive: true, force: true})
  }
  // Before the server's own: a program that is killed first has nothing to say about a lost connection.
  process.once('exit', clear)
  const server = await startPostgres()
  const sessions = new Set<SqlSession>()
  const close = async () => {
    clear()
    process.off('exit', clear)
    await Promise.all([...sessions].map((session) => session.close()))
    await server.stop()
  }
  try {
    const databaseUrl = server.url(DATABASE)
    const openSession = async (name: string, url = databaseUrl) => {
      const session = await SqlSession.open(url, name)
      sessions.add(session)
      return session
    }
    const admin = await openSession('admin', server.url())
    await admin.query(`create database ${DATABASE}`)
    home = mkdtempSync(join(tmpdir(), 'ayb-demo-'))
    shell = new Shell({program, home, databaseUrl})
    const owner = await openSession(DATABASE)
    const workers = new Workers(shell)
    return {databaseUrl, shell, workers, owner, openSession: (name) => openSession(name), close}
  } catch (error) {
    await close()
    throw error
  }
}
