import * as Flags from '@oclif/core/flags'
import {BaseCommand} from '../cli/base-command.ts'
import {durationFlag, logLevelFlag, notifyAfterFlag} from '../cli/flags.ts'
import {logOptions} from '../cli/log-options.ts'
import {notifyTargets} from '../cli/notify-settings.ts'
import {serveSettings} from '../cli/serve-settings.ts'
import {workerSettings} from '../cli/worker-settings.ts'
import {watchNotices} from '../core/notices/watch.ts'
import {openServePools} from '../core/serve-pools.ts'
import {Worker} from '../core/worker/worker.ts'
import {invalidArgument} from '../lib/errors.ts'
import {senderTo} from '../observe/notices/sender.ts'
import {observeWorker} from '../observe/worker-observer.ts'

export default class Serve extends BaseCommand {
  static override summary = 'Serve an admin API, a dashboard and the views over HTTP.'
  static override description =
    `Every request needs the token in AYB_ADMIN_TOKEN (16 characters or more), except for /healthz, /readyz, /metrics, the description of the API and the files of the dashboard. Reading views needs the token, too, unless you pass --public-collections. ayb serve speaks plain HTTP: for TLS, put a reverse proxy in front of it. With the token in AYB_READ_TOKEN, if you set one, a request can read everything and change nothing. The dashboard is at /, the description of the API at /api/openapi.json.

Reads of registered views have the rights of the login in AYB_COLLECTIONS_URL, which should have few rights. Without AYB_COLLECTIONS_URL, reads have the rights of the role that ayb serve connects as; then ayb reads only views whose owners could act as that role anyway.

With --worker, the same process also runs the schedules, with the settings in the environment variables of ayb worker. With AYB_NOTIFY_URL or AYB_NOTIFY_COMMAND, notices about views are sent, with or without --worker: see ayb help alerts.`
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
    'cors-origin': Flags.string({
      summary:
        'A website whose pages may read views, such as https://app.example.com; * for all. May be repeated.',
      helpValue: '<origin>',
      multiple: true,
      multipleNonGreedy: true,
    }),
    worker: Flags.boolean({summary: 'Run the schedules, too.'}),
    'public-collections': Flags.boolean({summary: 'Let everybody read views without the token.'}),
    'all-views': Flags.boolean({summary: 'Serve views that are not registered, too.'}),
    'shutdown-timeout': durationFlag({
      summary: 'How long refreshes may take to finish when the server is stopped. Default: 25s.',
    }),
    'log-level': logLevelFlag({summary: 'Leave out less important lines. Default: info.'}),
    'notify-after': notifyAfterFlag,
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
    const targets = notifyTargets(process.env)
    const observer = await observeWorker({
      ...logOptions(process.stdout, settings, process.env),
      hasMetrics: true,
      version: this.config.version,
    })
    const server = this.server(flags, {keepsStatements: true})
    const {version} = this.config
    const open = server.open.bind(server)
    const {notices, onEvent} = watchNotices({
      open,
      deliver: targets && senderTo(targets),
      after: flags['notify-after'],
      emit: observer.onEvent,
    })
    const worker = work && new Worker({...work, isOnce: false, version}, open, onEvent)
    const signal = this.untilClosed(process.stdout)
    const {collectionsUrl} = settings
    // Report a failed connection before the server listens.
    const pools = await openServePools(this.connection(flags), {
      collectionsUrl,
      signal,
      telling: (open) => this.tellingOfFirst(open),
    })
    const {serve} = await import('../http/serve.ts')
    notices?.start()
    try {
      await serve({...settings, ...pools, worker, observer, version}, signal)
    } finally {
      await notices?.end({looks: false})
    }
  }
}
