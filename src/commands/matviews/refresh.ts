import * as Flags from '@oclif/core/flags'
import {BaseCommand} from '../../cli/base-command.ts'
import {
  durationFlag,
  lockFlag,
  modeFlag,
  settingFlag,
  settingNameFlag,
  timeoutFlag,
  viewArg,
} from '../../cli/flags.ts'
import type {ConnectionFlags} from '../../cli/global-flags.ts'
import {commandLineDocument} from '../../cli/remedies.ts'
import {refresh} from '../../core/refresh/by-hand.ts'
import {wantedSettings} from '../../core/refresh/request.ts'
import type {SetPlan} from '../../core/refresh-set/plan.ts'
import {staleParentsWarning} from '../../core/refresh-set/stale-parents.ts'
import type {SetListener} from '../../core/refresh-set/turn.ts'
import {invalidArgument, isAybError} from '../../lib/errors.ts'
import {parseIdentifier, qualifiedName, type ViewReference} from '../../lib/identifier.ts'
import {type Setting, settingChanges} from '../../lib/postgres-settings.ts'
import type {Refreshed, RefreshedSet, RefreshPlan} from '../../lib/records/refreshes.ts'
import type {RequestedMode} from '../../lib/records/values.ts'
import {warningIn} from '../../lib/refresh-events.ts'
import {watchProgress} from '../../render/progress.ts'
import {progressAfter} from '../../render/progress-text.ts'
import {renderRefreshed} from '../../render/refreshed.ts'

const DEFAULT_CONCURRENCY = 4
const MOST_CONCURRENCY = 1000

export default class MatviewsRefresh extends BaseCommand {
  static override summary = 'Refresh registered views now and record the results.'
  static override description =
    `Only one session refreshes a view at a time. While another session refreshes the view, the command fails with exit code 5, or waits with --wait. Without --timeout there is no time limit. Ctrl-C cancels the refresh on the server.

While a standard refresh waits for its lock, everybody who wants to read the view waits behind the refresh. So ayb waits in short tries, with pauses in which others can read, for ten minutes in all. --lock-retry-for changes the ten minutes; --lock-timeout gives up after one try of that length. A concurrent refresh does not block readers, so ayb waits without pauses.

Several views are a set. ayb refreshes a view after the views that it reads, and at the same time the views that do not read each other. If a refresh fails, ayb skips the views that read the failed view, and goes on with the others. The exit code is 0 if all views were refreshed or are unchanged, else 1. Timeouts apply to each view. Views that are registered with --skip-unchanged are refreshed only if something has changed. Ctrl-C (exit code 130), SIGTERM (143) and SIGHUP (129) cancel the refreshes that run; ayb then prints what was done so far.`
  static override examples = [
    '<%= config.bin %> <%= command.id %> public.leaderboard',
    '<%= config.bin %> <%= command.id %> 550e8400-e29b-41d4-a716-446655440000',
    '<%= config.bin %> <%= command.id %> public.leaderboard --mode concurrent --timeout 10m',
    '<%= config.bin %> <%= command.id %> public.leaderboard --wait-timeout 5m --lock-timeout 2s',
    '<%= config.bin %> <%= command.id %> public.leaderboard --with-dependencies',
    '<%= config.bin %> <%= command.id %> public.leaderboard --if-changed',
    '<%= config.bin %> <%= command.id %> --all --concurrency 8 --dry-run',
    '<%= config.bin %> <%= command.id %> --unpopulated',
  ]
  static override args = {view: viewArg({multiple: true})}
  static override flags = {
    mode: modeFlag({
      summary:
        'The mode of this refresh; auto is concurrent where that works. The registration keeps its own mode.',
    }),
    wait: Flags.boolean({summary: 'Wait while another session refreshes the view.'}),
    'wait-timeout': durationFlag({summary: 'Wait at most this long. Implies --wait.'}),
    timeout: timeoutFlag({summary: 'Cancel the refresh if it takes longer than this.'}),
    'lock-timeout': lockFlag({
      summary: 'Give up if a lock is not free within this time; 0 waits without limit.',
    }),
    'lock-retry-for': lockFlag({
      summary:
        'How long to keep trying to lock the view; 0 tries once. Default: 10m, or 0 with --lock-timeout.',
    }),
    set: settingFlag({
      multiple: true,
      summary: 'A setting of Postgres for this refresh alone, such as work_mem=256MB. Can be repeated.',
    }),
    unset: settingNameFlag({
      multiple: true,
      summary: 'Refresh without this setting of the view. Can be repeated.',
    }),
    'if-changed': Flags.boolean({
      allowNo: true,
      summary:
        'Refresh only if something that the view reads has changed since its last refresh; with --no-if-changed, in any case. Default: always for one view; in a set, as --skip-unchanged of each view says.',
    }),
    'second-look': Flags.boolean({
      allowNo: true,
      default: true,
      summary:
        'Before a view counts as unchanged, look again 11 s after the start: changes can show up to 10 s late.',
    }),
    all: Flags.boolean({summary: 'Refresh all registered views.'}),
    schema: Flags.string({summary: 'Refresh all registered views of this schema.', helpValue: '<name>'}),
    unpopulated: Flags.boolean({
      summary: 'Refresh only views that hold no data, such as after a restore; without a name, all of them.',
    }),
    cascade: Flags.boolean({summary: 'Also refresh the registered views that read these views.'}),
    'with-dependencies': Flags.boolean({
      summary: 'First refresh the registered views that these views (and the views of --cascade) read.',
    }),
    concurrency: Flags.integer({
      summary: `How many views of a set to refresh at once. Default: ${DEFAULT_CONCURRENCY}.`,
      helpValue: '<n>',
      min: 1,
      max: MOST_CONCURRENCY,
    }),
    'fail-fast': Flags.boolean({summary: 'After a failure, start no other view of the set.'}),
    'dry-run': Flags.boolean({summary: 'Print the order of the set, and refresh nothing.'}),
  }

  async run(): Promise<Refreshed | RefreshedSet | RefreshPlan> {
    const {args, flags} = await this.parse(MatviewsRefresh)
    const names = withoutDoubles(args.view ?? [])
    const [view] = names
    const ofAll = [...(flags.all ? ['--all'] : []), ...(flags.schema === undefined ? [] : ['--schema'])]
    const isOfAll = ofAll.length > 0
    if (names.length > 0 && isOfAll) {
      throw invalidArgument(
        `${ofAll.join(' and ')} ${ofAll.length === 1 ? 'takes' : 'take'} no view`,
        `leave out the views, or ${ofAll.join(' and ')}`,
      )
    }
    if (view === undefined && !isOfAll && !flags.unpopulated) {
      throw invalidArgument(
        'ayb matviews refresh needs VIEW, --all, --schema or --unpopulated',
        'for example: ayb matviews refresh public.leaderboard',
      )
    }
    const isSet =
      flags.unpopulated ||
      flags.cascade ||
      flags['with-dependencies'] ||
      flags['fail-fast'] ||
      flags['dry-run'] ||
      flags.concurrency !== undefined
    const options = optionsOf(flags)
    if (view !== undefined && names.length === 1 && !isSet) return this.#refreshOne(view, flags, options)

    const request = {
      names,
      schemaName: flags.schema === undefined ? null : parseIdentifier(flags.schema, 'schema name'),
      isUnpopulated: flags.unpopulated,
      isCascade: flags.cascade,
      isWithDependencies: flags['with-dependencies'],
      mode: options.mode,
      postgres: options.settings.postgres,
    }
    const {describePlan, planSet, planUnseen, resolveSet} = await import('../../core/refresh-set/plan.ts')
    const {refreshSet} = await import('../../core/refresh-set/run.ts')
    const concurrency = flags.concurrency ?? DEFAULT_CONCURRENCY
    return this.withOwnCancellation(
      flags,
      async (db) => {
        const resolved = await this.endingAtSignal(db, (watched) => resolveSet(watched, request))
        const plan = await this.endingAtSignal(db, (watched) => planSet(watched, resolved)).catch((error) => {
          if (!this.signal.aborted || flags['dry-run']) throw error
          return planUnseen(resolved)
        })
        if (flags['dry-run']) return this.#showPlan(commandLineDocument(describePlan(plan, {concurrency})))
        const {listener, stop} = await this.#watch(plan)
        try {
          const refreshed = await refreshSet(db, plan, {
            ...options,
            concurrency,
            isFailFast: flags['fail-fast'],
            signal: this.signal,
            followsProgress: this.verbosity !== 'silent',
            listener,
            describeError: (error) => this.describeFailure(error),
          })
          stop()
          return await this.#report(commandLineDocument(refreshed))
        } finally {
          stop()
        }
      },
      {keepsStatements: true},
    )
  }

  async #refreshOne(
    view: ViewReference,
    flags: ConnectionFlags,
    options: ReturnType<typeof optionsOf>,
  ): Promise<Refreshed> {
    const progress = watchProgress(process.stderr, process.env, this.verbosity)
    try {
      const refreshed = await this.withOwnCancellation(flags, async (db) => {
        const done = await refresh(db, view, {
          ...options,
          signal: this.signal,
          followsProgress: this.verbosity !== 'silent',
          onEvent: (event, registration) => {
            this.endWaiting()
            progress.update(progressAfter(event, qualifiedName(registration)))
            const warning = warningIn(event)
            if (warning !== null) this.addWarning(warning)
          },
        })
        const stale = await staleParentsWarning(db, done.registration)
        return stale === null ? done : {...done, warnings: [...done.warnings, stale]}
      })
      progress.stop()
      await this.show((context) => renderRefreshed(refreshed, context))
      return refreshed
    } finally {
      progress.stop()
    }
  }

  /** Shows the views that run on a terminal; prints each view that has ended for a pipe. */
  async #watch({members}: SetPlan) {
    const {watchSet} = await import('../../render/set-progress.ts')
    const {renderMember} = await import('../../render/refresh-set.ts')
    const progress = watchSet(process.stderr, process.env, this.verbosity)
    this.endWaiting()
    progress.begin(members.length)
    const listener: SetListener = {
      onStart: ({registration, expectedMs}) => progress.start(registration, expectedMs),
      onEvent: ({registration}, event) => progress.update(registration, event),
      onPutBack: ({registration}) => progress.putBack(registration),
      onEnd: ({registration}, ended) => {
        progress.end(registration)
        void this.show((context) => renderMember(ended, context))
      },
    }
    return {listener, stop: () => progress.stop()}
  }

  async #showPlan(plan: RefreshPlan): Promise<RefreshPlan> {
    const {renderPlan} = await import('../../render/refresh-set.ts')
    await this.show((context) => renderPlan(plan, context))
    return plan
  }

  async #report(refreshed: RefreshedSet): Promise<RefreshedSet> {
    const {renderHints, renderRefreshedSet} = await import('../../render/refresh-set.ts')
    await this.show((context) => {
      if (!context.terminal.isTerminal) this.printBeside((terminal) => renderHints(refreshed, terminal))
      return renderRefreshedSet(refreshed, context)
    })
    const {error, skipped} = refreshed.counts
    const reason: unknown = this.signal.reason
    if (isAybError(reason)) process.exitCode = reason.exitCode
    else if (error + skipped > 0) process.exitCode = 1
    return refreshed
  }
}

/** Each view once. An id and a name are not compared. */
function withoutDoubles(references: readonly ViewReference[]): ViewReference[] {
  const keyOf = (reference: ViewReference) => ('id' in reference ? reference.id : qualifiedName(reference))
  return [...new Map(references.map((reference) => [keyOf(reference), reference])).values()]
}

interface RefreshFlags {
  mode?: RequestedMode | undefined
  wait: boolean
  'wait-timeout'?: number | undefined
  timeout?: number | undefined
  'lock-timeout'?: number | undefined
  'lock-retry-for'?: number | undefined
  set?: Setting[] | undefined
  unset?: string[] | undefined
  'if-changed'?: boolean | undefined
  'second-look': boolean
}

/** How each view is to be refreshed. */
function optionsOf(flags: RefreshFlags) {
  const waitTimeoutMs = flags['wait-timeout'] ?? null
  return {
    mode: flags.mode ?? null,
    ifChanged: flags['if-changed'] ?? null,
    changesUntil: flags['second-look'] ? performance.now() : null,
    wait: flags.wait || waitTimeoutMs !== null ? {timeoutMs: waitTimeoutMs} : null,
    settings: wantedSettings({
      timeoutMs: flags.timeout,
      lockTimeoutMs: flags['lock-timeout'],
      lockRetryForMs: flags['lock-retry-for'],
      postgres: settingChanges(flags.set ?? [], flags.unset ?? []),
    }),
  }
}
