import * as Flags from '@oclif/core/flags'
import {BaseCommand} from '../cli/base-command.ts'
import {durationFlag} from '../cli/flags.ts'
import {isDebugging} from '../cli/output.ts'
import {commandLineHint} from '../cli/remedies.ts'
import {serveSettings} from '../cli/serve-settings.ts'
import {workerSettings} from '../cli/worker-settings.ts'
import {JobCount} from '../core/job-count.ts'
import {openReaders} from '../core/readers.ts'
import {Worker} from '../core/worker/worker.ts'
import {DatabasePool} from '../db/pool.ts'
import {AybError, invalidArgument} from '../lib/errors.ts'
import {observeWorker} from '../observe/worker-observer.ts'
import {describeTerminal} from '../render/terminal.ts'

/** Database sessions for short requests, for reads of views, and for refreshes, which may take hours. */
const SESSIONS = 8
const READERS = 8
const REFRESHES = 16

export default class Serve extends BaseCommand {
  static override summary = 'Serve an admin API, a dashboard and the views over HTTP.'
  static override description =
    `Every request needs the token in AYB_ADMIN_TOKEN (16 characters or more), except for /healthz, /readyz, /metrics, the description of the API and the files of the dashboard. Reading views needs the token, too, unless you pass --public-collections. ayb serve speaks plain HTTP: for TLS, put a reverse proxy in front of it. The dashboard is at /, the description of the API at /api/openapi.json.

Reads of registered views have the rights of the login in AYB_COLLECTIONS_URL, which should have few rights. Without AYB_COLLECTIONS_URL, reads have the rights of the role that ayb serve connects as; then ayb reads only views whose owners could act as that role anyway.

With --worker, the same process runs the schedules. The environment variables of ayb worker set how.`
  static override examples = [
    'AYB_ADMIN_TOKEN=… <%= config.bin %> <%= command.id %>',
    'AYB_ADMIN_TOKEN=… <%= config.bin %> <%= command.id %> --listen 127.0.0.1:9000 --worker',
  ]
  static override flags = {
    listen: Flags.string({
      summary: 'The address to listen on.',
      default: '127.0.0.1:8090',
      helpValue: '<host:port>',
    }),
    'allowed-host': Flags.string({
      summary:
        'A host name that a proxy passes on, accepted besides the address in --listen. May be repeated.',
      helpValue: '<name>',
      multiple: true,
      multipleNonGreedy: true,
    }),
    worker: Flags.boolean({summary: 'Run the schedules, too.'}),
    'public-collections': Flags.boolean({summary: 'Let everybody read views without the token.'}),
    'all-views': Flags.boolean({summary: 'Serve views that are not registered, too.'}),
    'shutdown-timeout': durationFlag({
      summary: 'How long refreshes may take to finish when the server is stopped. Default: 25s.',
    }),
    'log-format': Flags.string({
      summary: 'The format of the log. Default: pretty on a terminal, else json.',
      options: ['pretty', 'json'],
      helpValue: 'pretty|json',
    }),
  }

  async run(): Promise<void> {
    const {flags} = await this.parse(Serve)
    if (this.jsonEnabled()) {
      throw invalidArgument('a server has no result for --json', 'for logs in JSON: --log-format json')
    }
    const settings = serveSettings(flags, process.env)
    const work = flags.worker ? workerSettings({...flags, listen: undefined}, process.env) : null
    const terminal = describeTerminal(process.stdout, process.env)
    const observer = await observeWorker({
      stream: process.stdout,
      format: settings.logFormat ?? (terminal.isTerminal ? 'pretty' : 'json'),
      isVerbose: isDebugging(process.env),
      hasMetrics: true,
      paint: (style, text) => terminal.style[style](text),
      hintOf: commandLineHint,
    })
    const database = this.server(flags)
    const pool = new DatabasePool((how) => database.open(how), {
      size: SESSIONS,
      isKept: true,
      ...FOR_REQUESTS,
    })
    const readers = new DatabasePool(openReaders(this.connection(flags), settings.collectionsUrl, pool), {
      size: READERS,
      isKept: true,
      ...FOR_REQUESTS,
    })
    const refreshes = new DatabasePool((how) => database.open(how), {
      size: REFRESHES,
      isKept: false,
      ...FOR_REFRESHES,
    })
    const signal = this.untilClosed(process.stdout)
    // Report a failed connection before the server listens.
    const isPooled = await pool.use(async ({session}) => session.isPooled, signal)
    if (settings.collectionsUrl !== null) {
      await readers
        .use(async () => {}, signal)
        .catch(async (error) => {
          // An open session would keep the process alive.
          await pool.close()
          throw error
        })
    } else if (isPooled) {
      observer.log({
        level: 'warn',
        msg: 'connected through a pooler: views are not read over HTTP without AYB_COLLECTIONS_URL',
      })
    }
    const forWorker = this.server(flags, {keepsStatements: true})
    const worker =
      work && new Worker({...work, isOnce: false}, (how) => forWorker.open(how), observer.onEvent)
    const {serve} = await import('../http/serve.ts')
    const health = healthOf(pool, worker, observer)
    const server = await serve({
      ...settings,
      pool,
      readers,
      refreshes,
      health,
      log: observer.log,
      onRefresh: observer.countRefresh,
      version: this.config.version,
    })
    await together(signal, [(stop) => server.untilAborted(stop), async (stop) => worker?.run(stop)])
  }
}

/** Runs all of them until the signal aborts. When one fails, the others are stopped. */
async function together(
  signal: AbortSignal,
  runs: readonly ((stop: AbortSignal) => Promise<unknown>)[],
): Promise<void> {
  const failed = new AbortController()
  const stop = AbortSignal.any([signal, failed.signal])
  await Promise.allSettled(
    runs.map((run) =>
      run(stop).catch((error) => failed.abort(error instanceof Error ? error : new Error(String(error)))),
    ),
  )
  failed.signal.throwIfAborted()
}

/** What a request gets when all sessions are busy. */
const FOR_REQUESTS = {
  patienceMs: 30_000,
  whenBusy: () =>
    new AybError('TIMEOUT', 'all database sessions of the HTTP server stayed busy for 30 s', {
      hint: 'try again; see pg_stat_activity for what they wait for',
    }),
}
const FOR_REFRESHES = {
  patienceMs: 10_000,
  whenBusy: () =>
    new AybError('TIMEOUT', `${REFRESHES} refreshes are running already`, {
      hint: 'try again when one is done',
    }),
}

function healthOf(
  pool: DatabasePool,
  worker: Worker | null,
  observer: Awaited<ReturnType<typeof observeWorker>>,
) {
  const jobCount = new JobCount((count) => pool.use(count))
  return {
    isAlive: () => worker?.isTurning ?? true,
    isReady: async () => (worker?.isDatabaseUp ?? true) && pool.isReachable(),
    metrics: async () => observer.metrics((await pool.isReachable()) ? await jobCount.read() : null),
  }
}
