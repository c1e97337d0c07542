import type {Job} from '../../../lib/records/jobs.ts'

/** A server that does not answer within this time counts as unreachable. */
const READ_TIMEOUT_MS = 10_000

/** An error that the server answered, or that the server did not answer. */
export class ApiError extends Error {
  /** 0 where there was no answer at all. */
  readonly status: number
  readonly code: string
  readonly hint: string | null

  constructor(status: number, code: string, message: string, hint: string | null) {
    super(message)
    this.status = status
    this.code = code
    this.hint = hint
  }

  /** Whether trying again later may help: nobody answers, or the database does not. */
  get isOutage(): boolean {
    return this.status === 0 || [502, 503, 504].includes(this.status)
  }
}

/** The answer for a list. */
export interface Items<Item> {
  items: Item[]
  count: number
}

/** The admin API, with the token of who signed in. */
export class Api {
  readonly #token: string
  readonly #onUnauthorized: () => void

  /** `onUnauthorized` is called when the token is not, or no longer, the right one. */
  constructor(token: string, onUnauthorized: () => void) {
    this.#token = token
    this.#onUnauthorized = onUnauthorized
  }

  /**
   * Reads; gives up after ten seconds.
   * @throws ApiError
   */
  get<Answer>(path: string, signal: AbortSignal): Promise<Answer> {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(READ_TIMEOUT_MS)])
    return this.#request<Answer>('GET', path, undefined, limit)
  }

  /**
   * Changes something, for as long as it takes; aborting `signal` takes the request away from the server.
   * @throws ApiError
   */
  send<Answer>(
    method: 'POST' | 'PUT' | 'DELETE',
    path: string,
    body?: unknown,
    signal?: AbortSignal,
  ): Promise<Answer> {
    return this.#request<Answer>(method, path, body, signal)
  }

  /**
   * Starts what a worker can do, for the worker to go on without this page. The answer is that of `send`,
   * where no worker is alive.
   * @throws ApiError
   */
  async begin<Answer extends object>(path: string, signal: AbortSignal): Promise<Answer | Job> {
    return this.#request<Answer | Job>('POST', path, undefined, signal, {prefer: 'respond-async'})
  }

  /**
   * What the server sends to listeners of a view, as it comes, until the server or `signal` ends it.
   * @throws ApiError
   */
  async *listen(view: string, signal: AbortSignal): AsyncGenerator<string> {
    const path = `/api/collections/${encodeURIComponent(view)}/events`
    const headers = {authorization: `Bearer ${this.#token}`}
    const response = await fetch(path, {headers, signal, cache: 'no-store'}).catch((error) => {
      throw unreachable(error)
    })
    if (!response.ok || !response.body) throw await this.#failure(response)
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
    for (;;) {
      const {done, value} = await reader.read().catch((error) => {
        throw unreachable(error)
      })
      if (done) return
      yield value
    }
  }

  async #request<Answer>(
    method: string,
    path: string,
    body: unknown,
    signal: AbortSignal | undefined,
    more: Record<string, string> = {},
  ): Promise<Answer> {
    const headers: Record<string, string> = {authorization: `Bearer ${this.#token}`, ...more}
    if (body !== undefined) headers['content-type'] = 'application/json'
    const response = await fetch(`/api/admin/${path}`, {
      method,
      headers,
      body: body === undefined ? null : JSON.stringify(body),
      signal: signal ?? null,
      cache: 'no-store',
    }).catch((error) => {
      throw unreachable(error)
    })
    if (!response.ok) throw await this.#failure(response)
    const text = await textOf(response)
    return (text === '' ? undefined : parse(text, response.status)) as Answer
  }

  /** What the server answered in place of what was asked for. */
  async #failure(response: Response): Promise<ApiError> {
    const text = await textOf(response)
    if (response.status === 401) this.#onUnauthorized()
    const {code, message, hint} = parse(text, response.status) as Partial<ApiError>
    return new ApiError(
      response.status,
      code ?? 'INTERNAL',
      message ?? `status ${response.status}`,
      hint ?? null,
    )
  }
}

const textOf = (response: Response): Promise<string> =>
  response.text().catch((error) => {
    throw unreachable(error)
  })

/** Headers hold no other characters; the server's token cannot have them either. */
export const isToken = (text: string): boolean => /^[\x21-\x7e]+$/.test(text)

/** What went wrong, as the pages show it. */
export const toApiError = (error: unknown): ApiError =>
  error instanceof ApiError ? error : new ApiError(500, 'INTERNAL', String(error), null)

function unreachable(error: unknown): ApiError {
  const name = error instanceof Error ? error.name : ''
  if (name === 'AbortError') return new ApiError(0, 'CANCELED', 'canceled', null)
  const message = name === 'TimeoutError' ? 'the server does not answer' : 'the server cannot be reached'
  return new ApiError(0, 'UNREACHABLE', message, 'check that ayb serve is running')
}

function parse(text: string, status: number): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // Something in between, such as a proxy, speaks HTML.
    throw new ApiError(status, 'INTERNAL', `the answer is not from ayb serve (status ${status})`, null)
  }
}
