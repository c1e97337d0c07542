import {until} from '../support/until.ts'
import {check, checkEqual} from './check.ts'
import {printInput, printRemark} from './print.ts'
import type {Shell, StreamingCommand} from './shell.ts'

/** Everything a worker does here takes a few seconds; the machine may be busy. */
const TIMEOUT_MS = 60_000

/** The workers that run in the background of the story, by name, from one step to the next. */
export class Workers {
  readonly #shell: Shell
  readonly #running = new Map<string, StreamingCommand>()

  constructor(shell: Shell) {
    this.#shell = shell
  }

  /** Starts a worker, whose log is shown as it comes, and waits until it says so. */
  async start(name: string, args: readonly string[]): Promise<void> {
    const worker = this.#shell.stream(['worker', '--log-format', 'pretty', ...args], name)
    this.#running.set(name, worker)
    await this.waitForWord(name, 'worker started')
  }

  /**
   * Asks again and again until there is an answer, while the workers do their work.
   * @throws CheckFailure where one of them has ended
   */
  waitFor<T>(find: () => Promise<T | undefined | false> | T | undefined | false, what: string): Promise<T> {
    const findAlive = async () => {
      for (const [name, worker] of this.#running) check(worker.isRunning(), `${name} is running`)
      return find()
    }
    return until(findAlive, {what, timeoutMs: TIMEOUT_MS})
  }

  /** Waits until a worker has logged that. */
  async waitForWord(name: string, text: string): Promise<void> {
    const worker = this.#find(name)
    await this.waitFor(() => hasSaid(worker, text), `${name} to say: ${text}`)
  }

  /** Ends a worker in good order. */
  async terminate(name: string): Promise<void> {
    const worker = this.#take(name)
    printInput('$', `kill -TERM ${worker.pid}; wait ${worker.pid}`)
    worker.signal('SIGTERM')
    const end = await worker.ended
    printRemark(`exit code ${end}`)
    checkEqual(end, 0, `how ${name} ended`)
    check(hasSaid(worker, 'worker stopped'), `${name} said that it stopped`)
  }

  /** Ends a worker without giving it a moment. */
  async kill(name: string): Promise<void> {
    const worker = this.#take(name)
    printInput('$', `kill -9 ${worker.pid}`)
    worker.signal('SIGKILL')
    checkEqual(await worker.ended, 'SIGKILL', `how ${name} ended`)
  }

  #find(name: string): StreamingCommand {
    const worker = this.#running.get(name)
    check(worker !== undefined, `${name} was started`)
    return worker
  }

  /** From then on, that it ends is no surprise. */
  #take(name: string): StreamingCommand {
    const worker = this.#find(name)
    this.#running.delete(name)
    return worker
  }
}

const hasSaid = ({lines}: StreamingCommand, text: string): boolean =>
  lines.some((line) => line.includes(text))
