import {Command} from '@oclif/core/command'
import {type Database, Server} from '../db/database.ts'
import {dropOnAbort, onAbort} from '../lib/abort.ts'
import {invalidArgument, mayBeDone} from '../lib/errors.ts'
import {printable, printableJson} from '../lib/printable.ts'
import type {ErrorRecord} from '../lib/records/values.ts'
import {redact} from '../lib/redact.ts'
import type {Warning, Worded} from '../lib/unworded.ts'
import {renderError, renderWarning} from '../render/error.ts'
import type {Verbosity} from '../render/progress.ts'
import {type Rendered, textOf} from '../render/rendered.ts'
import {describeTerminal, type RenderContext, type Terminal} from '../render/terminal.ts'
import {type ConnectionFlags, connectionString, GLOBAL_FLAGS} from './global-flags.ts'
import {
  errorRecord,
  isDebugging,
  isJsonRequested,
  printFailure,
  printStack,
  printWarnings,
  verbosityOf,
} from './output.ts'
import {toAybError} from './parse-errors.ts'
import {commandLineDocument, commandLineWarning} from './remedies.ts'
import {listenForSignals} from './signals.ts'
import {WaitingLine} from './waiting-line.ts'
import type {Watch} from './watch.ts'

type OpenOptions = NonNullable<Parameters<Server['open']>[0]>

/** The base of all commands: the global flags, the database, JSON output, and the handling of errors. */
export abstract class BaseCommand extends Command {
  static override enableJsonFlag = true
  static override baseFlags = GLOBAL_FLAGS

  /** Aborts at the first SIGINT, SIGTERM or SIGHUP, with the error to end with. */
  protected readonly signal = listenForSignals()
  readonly #warnings: string[] = []
  #watch: Watch | null = null
  readonly #waiting = new WaitingLine(process.stderr, process.env, this.verbosity)
  /** The database that was opened last, and its end. */
  #last: {db: Database; closed: Promise<void>} | null = null

  override jsonEnabled(): boolean {
    return isJsonRequested(this.argv)
  }

  /**
   * Looks once; with --watch again and again on a terminal, until Ctrl-C.
   * @throws AybError INVALID_ARGUMENT where --watch makes no sense
   */
  protected async looking<T>(flags: {watch: boolean}, look: () => Promise<T>): Promise<T> {
    if (!flags.watch) return look()
    if (this.jsonEnabled()) {
      throw invalidArgument('--watch has no one result for --json', 'leave out one of them')
    }
    const {Watch} = await import('./watch.ts')
    const words = ['ayb', ...(this.id?.split(':') ?? []), ...this.argv]
    const title = printable(redact(words.join(' ')))
    this.#watch = new Watch(process.stdout, process.env, title)
    return this.#watch.run(look, {signal: this.signal, remarks: (error) => this.#takeRemarks(error)})
  }

  /** The error, if there is one, and the warnings since the last call, as lines. */
  #takeRemarks(error: unknown): string[] {
    const terminal = describeTerminal(process.stdout, process.env)
    const warnings = this.#warnings.splice(0).map((warning) => renderWarning(warning, terminal))
    if (error === null) return warnings
    return [renderError(errorRecord(toAybError(error, this.config, this.id)), terminal), ...warnings]
  }

  /** How much to tell on stderr besides warnings and errors. */
  protected get verbosity(): Verbosity {
    return verbosityOf(this.argv)
  }

  /** Prints exactly one document, without colours and without characters that a terminal acts on. */
  override logJson(document: unknown): void {
    process.stdout.write(`${printableJson(document, 2)}\n`)
  }

  /**
   * Renders a document on stdout for people or pipes; nothing with --json. A table takes 50 ms to load:
   * `render` imports what it needs, so that scripts do not pay for it.
   */
  protected async show(
    render: (context: RenderContext) => Rendered | Promise<Rendered>,
    {output, sort}: {output?: 'wide' | undefined; sort?: string | undefined} = {},
  ): Promise<void> {
    if (this.jsonEnabled()) return
    this.endWaiting()
    const terminal = describeTerminal(process.stdout, process.env)
    const isWide = output === 'wide'
    const shown = isWide ? {...terminal, columns: Number.POSITIVE_INFINITY} : terminal
    const rendered = await render({terminal: shown, now: new Date(), isWide, sort})
    if (this.#watch) return this.#watch.add(rendered)
    const text = textOf(rendered)
    if (terminal.isTerminal && text.includes('\n')) {
      const {pagerFor, showInPager} = await import('./pager.ts')
      const pager = pagerFor(text, {terminal, rows: process.stdout.rows}, process.env)
      if (pager !== null && (await showInPager(pager, `${text}\n`, process.env))) return
    }
    this.print(text)
  }

  /** Prints text on stdout, unless the text is empty or --json is set. */
  protected print(text: string): void {
    this.endWaiting()
    if (this.#watch) this.#watch.add(text)
    else if (text !== '' && !this.jsonEnabled()) process.stdout.write(`${text}\n`)
  }

  /** Prints text on stderr, unless the text is empty or --json is set. */
  protected printBeside(render: (terminal: Terminal) => string): void {
    if (this.jsonEnabled()) return
    this.endWaiting()
    const text = render(describeTerminal(process.stderr, process.env))
    if (this.#watch) this.#watch.add(text)
    else if (text !== '') process.stderr.write(`${text}\n`)
  }

  /** Takes away the line that says what the command waits for, before something else is written. */
  protected endWaiting(): void {
    this.#waiting.end()
  }

  /** Says what the work waits for, if that takes long. Work that prints takes the line away. */
  protected async waitingFor<T>(what: string, work: () => Promise<T>): Promise<T> {
    this.#waiting.tell(what)
    this.#waiting.begin()
    return work().finally(() => this.endWaiting())
  }

  /**
   * Opens sessions as `open` does. If the first session takes long to connect, says where to; with --verbose,
   * says so in any case, once the session is open.
   */
  protected tellingOfFirst<T extends Pick<Database, 'session'>>(
    open: (how: OpenOptions) => Promise<T>,
  ): (how?: OpenOptions) => Promise<T> {
    let isFirst = true
    return async (how = {}) => {
      if (!isFirst) return open(how)
      isFirst = false
      this.#waiting.begin()
      const stopListening = onAbort(this.signal, () => this.endWaiting())
      const onAttempt = (place: string) => this.#waiting.connecting(place)
      try {
        const opened = await open({...how, onAttempt})
        this.#waiting.connected(opened.session.target)
        return opened
      } finally {
        stopListening()
        this.endWaiting()
      }
    }
  }

  /** Asks somebody at the terminal, while nothing else is written. */
  protected async asking<T>(ask: () => Promise<T>): Promise<T> {
    this.endWaiting()
    return ask().finally(() => this.#waiting.begin())
  }

  /** Prints on stderr the command that undoes the change, and `once` what. Nothing with --json or --quiet. */
  protected noteUndo(
    command: string | null,
    {isDryRun, once}: {isDryRun: boolean; once?: string | undefined},
  ): void {
    if (this.jsonEnabled() || this.verbosity === 'silent') return
    const line =
      command === null
        ? `No command of ayb ${isDryRun ? 'would undo' : 'undoes'} that, since another program wrote values that ayb does not accept`
        : `To undo that${isDryRun ? ' afterwards' : ''}${once === undefined ? '' : `, once ${once}`}: ${command}`
    process.stderr.write(`${line}\n`)
  }

  /**
   * Opens the database for `work` and closes it afterwards. A signal ends the work at once. Returns the
   * document of the work with its warnings worded.
   */
  protected async withDatabase<T>(
    flags: ConnectionFlags,
    work: (db: Database) => Promise<T>,
  ): Promise<Worded<T>> {
    return this.withOwnCancellation(flags, (db) => this.endingAtSignal(db, work))
  }

  /** Runs work that a signal ends at once, or a dead network. */
  protected async endingAtSignal<T>(db: Database, work: (db: Database) => Promise<T>): Promise<T> {
    // A backend that waits for a lock or a standby does not notice that its client is gone, so cancel it.
    const cancel = () => void (db.isForChanges && db.session.cancel())
    const stopListening = onAbort(this.signal, cancel)
    try {
      return await dropOnAbort(db.session, this.signal, () => work(db.watched()))
    } catch (error) {
      throw db.isForChanges ? mayBeDone(error) : error
    } finally {
      stopListening()
    }
  }

  /** The server that the flags and the environment lead to. */
  protected server(flags: ConnectionFlags, {keepsStatements = false} = {}): Server {
    return new Server({...this.connection(flags), keepsStatements})
  }

  /** The address and the application name of the connection. */
  protected connection(flags: ConnectionFlags) {
    return {
      ...connectionString(flags),
      env: process.env,
      applicationName: `ayb ${(this.id ?? '').replaceAll(':', ' ')}`,
    }
  }

  /** The signal. It also aborts when the reader of the stream closes the stream. */
  protected untilClosed(stream: NodeJS.WritableStream): AbortSignal {
    const closed = new AbortController()
    stream.once('error', (error) => closed.abort(error))
    return AbortSignal.any([this.signal, closed.signal])
  }

  /** withDatabase for work that handles `this.signal` itself. */
  protected async withOwnCancellation<T>(
    flags: ConnectionFlags,
    work: (db: Database) => Promise<T>,
    {keepsStatements = false} = {},
  ): Promise<Worded<T>> {
    this.#waiting.begin({line: this.#watch?.line})
    try {
      const open = () => this.#open(flags, keepsStatements)
      const db = await (this.#watch?.open(open) ?? open())
      if (db.session.isPooled && isDebugging(process.env)) {
        this.endWaiting()
        process.stderr.write(
          'ayb: connected through a pooler, so ayb holds the lock of a view only within the transaction of its refresh; AYB_POOLED=off changes that\n',
        )
      }
      try {
        return commandLineDocument(await work(db))
      } catch (error) {
        throw await db.explain(error).catch(() => error)
      } finally {
        this.#warnings.unshift(...db.takeWarnings().map(commandLineWarning))
        // The command shows its result while the server hangs up.
        if (this.#watch === null) this.#last = {db, closed: db.close()}
      }
    } finally {
      this.endWaiting()
    }
  }

  async #open(flags: ConnectionFlags, keepsStatements: boolean): Promise<Database> {
    // The role may have the right to one connection only.
    await this.#last?.closed
    const onAttempt = (place: string) => this.#waiting.connecting(place)
    const db = await this.server(flags, {keepsStatements}).open({signal: this.signal, onAttempt})
    this.#waiting.connected(db.session.target)
    return db
  }

  /** Adds to the warnings beside a result that has none in itself, or beside an error. */
  protected addWarning(warning: Warning): void {
    this.#warnings.push(commandLineWarning(warning))
  }

  /**
   * Prints warnings before a long wait. Returns those that are left for the document: all with --json, where
   * they are also printed beside an error.
   */
  protected tellAtOnce(warnings: readonly Warning[]): readonly Warning[] {
    if (!this.jsonEnabled()) {
      this.endWaiting()
      printWarnings(warnings.map(commandLineWarning))
      return []
    }
    for (const warning of warnings) this.addWarning(warning)
    return warnings
  }

  protected override async _run<T>(): Promise<T> {
    const result = await super._run<T>()
    // With --json the document holds the warnings, unless the document is an array.
    const isInDocument = this.jsonEnabled() && !Array.isArray(result)
    if (result && !isInDocument) printWarnings(warningsOf(result) ?? this.#warnings)
    return result
  }

  /** A failure that is a part of a result, as its document holds it. */
  protected describeFailure(error: unknown): ErrorRecord {
    const failure = toAybError(error, this.config, this.id)
    printStack(failure)
    return errorRecord(failure)
  }

  /** The end of a session takes the server 2 ms, for which nobody has to wait. */
  protected override async finally(): Promise<void> {
    this.#last?.db.session.unref()
  }

  /** The one place where an error becomes text or JSON, and an exit code. */
  protected override async catch(error: unknown): Promise<void> {
    const failure = toAybError(error, this.config, this.id)
    printWarnings(this.#warnings)
    printFailure(failure, {isJson: this.jsonEnabled()})
  }
}

function warningsOf(document: unknown): readonly string[] | undefined {
  return (document as {warnings?: readonly string[]}).warnings
}
