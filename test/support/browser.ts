import {mkdirSync} from 'node:fs'
import {join} from 'node:path'
import {type Browser, type BrowserContextOptions, chromium, type Locator, type Page} from 'playwright-core'
import {afterAll} from 'vitest'
import type {RunningServer} from './serve.ts'

/** Debian's, unless the machine has another one. */
const CHROMIUM = process.env.AYB_TEST_CHROMIUM || '/usr/bin/chromium'
const ARGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]
/** The machine may be busy. */
const PATIENCE_MS = 30_000

let browser: Promise<Browser> | undefined
afterAll(async () => (await browser)?.close())

/** A page, and what it did that a person does not see. */
export interface WatchedPage {
  page: Page
  /** Errors and warnings of the console, a violated Content-Security-Policy among them, and exceptions. */
  complaints: string[]
  /** Statuses that the console reports as errors: what the server refused. */
  refusals: string[]
  /** The origins that anything was asked of. */
  origins: Set<string>
}

/** Opens the dashboard in a Chromium, in a session of its own. */
export async function openDashboard(
  server: RunningServer,
  options: BrowserContextOptions = {},
): Promise<WatchedPage> {
  browser ??= chromium.launch({executablePath: CHROMIUM, args: ARGS, timeout: 60_000})
  const context = await (await browser).newContext({
    viewport: {width: 1200, height: 800},
    locale: 'en-GB',
    timezoneId: 'Europe/Berlin',
    ...options,
  })
  const page = await context.newPage()
  page.setDefaultTimeout(PATIENCE_MS)
  const watched: WatchedPage = {page, complaints: [], refusals: [], origins: new Set()}
  page.on('console', (message) => {
    if (message.type() !== 'error' && message.type() !== 'warning') return
    const isRefusal = message.text().startsWith('Failed to load resource')
    ;(isRefusal ? watched.refusals : watched.complaints).push(message.text())
  })
  page.on('pageerror', (error) => watched.complaints.push(`${error}`))
  page.on('request', (request) => watched.origins.add(new URL(request.url()).origin))
  await page.goto(server.origin)
  return watched
}

/** The row of a table that has this text. */
export const rowOf = (page: Page, text: string): Locator => page.locator('tbody tr', {hasText: text})

/** How many bars the plots there have for runs that ended so; for all without a status. */
export const barsIn = (place: Locator, status?: string): Promise<number> =>
  place
    .locator(status === undefined ? '.spark path:not(.run-cross)' : `.spark .run-${status}`)
    .evaluateAll((paths) =>
      paths.reduce((sum, path) => sum + (path.getAttribute('d') ?? '').split('M').length - 1, 0),
    )

/** The state of a view, in its row. */
export const stateOf = (row: Locator, state: string): Locator =>
  row.locator('.badge').getByText(state, {exact: true})

/** Chooses an action of the menu of a view or a schedule. */
export async function choose(page: Page, title: string, action: string): Promise<void> {
  await page.getByRole('button', {name: `More for ${title}`}).click()
  await page.getByRole('menuitem', {name: action, exact: true}).click()
}

/** Presses Tab until the focus is on what has that name. */
export async function tabTo(page: Page, name: string): Promise<void> {
  const seen: string[] = []
  for (let count = 0; count < 40; count++) {
    await page.keyboard.press('Tab')
    const focused = await page.evaluate<string>(`(() => {
      const element = document.activeElement
      return element.getAttribute('aria-label') ?? element.labels?.[0]?.textContent ?? element.textContent
    })()`)
    if (focused.startsWith(name)) return
    seen.push(focused)
  }
  throw new Error(`Tab does not come to ${name}, only to ${seen.join(', ')}`)
}

/** The outcome of what was done. */
export const toast = (page: Page, text: string | RegExp): Locator =>
  page.locator('.toast').filter({hasText: text})

/** Keeps a picture where AYB_TEST_SCREENSHOTS names a folder, for whoever wants to look. */
export async function screenshot(page: Page, name: string): Promise<void> {
  const folder = process.env.AYB_TEST_SCREENSHOTS
  if (!folder) return
  mkdirSync(folder, {recursive: true})
  await page.screenshot({path: join(folder, `${name}.png`)})
}
