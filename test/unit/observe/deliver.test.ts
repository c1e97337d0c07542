import {chmodSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {afterAll, describe, expect, test} from 'vitest'
import type {NotifyTargets} from '../../../src/lib/notices.ts'
import {deliverNotice} from '../../../src/observe/notices/deliver.ts'
import {startReceiver, URL_TOKEN} from '../../support/receiver.ts'

const folder = mkdtempSync(join(tmpdir(), 'ayb-deliver-'))
afterAll(() => rmSync(folder, {recursive: true}))

/** An executable of these lines; returns its path. */
function executable(name: string, ...lines: string[]): string {
  const path = join(folder, name)
  writeFileSync(path, ['#!/bin/sh', ...lines, ''].join('\n'))
  chmodSync(path, 0o755)
  return path
}

const NOTICE = {id: 'an-id', body: '{"type": "notify.test"}', delivered: []}
const deliver = (targets: Partial<NotifyTargets>, signal?: AbortSignal) =>
  deliverNotice({webhook: null, command: null, ...targets}, NOTICE, signal)
const webhook = (url: string) => ({webhook: {url, secret: null, format: 'webhook' as const}})

describe('a target that fails', () => {
  test('is told by how it answered, and a receiver never by its address', async () => {
    const refusing = await startReceiver()
    refusing.answer = 410
    const elsewhere = await startReceiver()
    const redirecting = await startReceiver()
    redirecting.answer = (response) => response.writeHead(307, {location: elsewhere.url}).end()
    const hangingUp = await startReceiver()
    hangingUp.answer = (response) => response.destroy()
    const cases: [string, number | null, RegExp][] = [
      [refusing.url, 410, /^the receiver answered 410$/],
      [redirecting.url, 307, /^the receiver answered 307, and redirects are not followed$/],
      [hangingUp.url, null, /^the receiver cannot be reached \([A-Z_]+\)$/],
      [`http://127.0.0.1:1/${URL_TOKEN}`, null, /^the receiver cannot be reached/],
      [`http://${URL_TOKEN}.invalid/`, null, /^the receiver cannot be reached \((ENOTFOUND|EAI_AGAIN)\)$/],
    ]
    for (const [url, status, error] of cases) {
      const [delivery] = await deliver(webhook(url))
      expect(delivery).toMatchObject({
        target: 'webhook',
        ok: false,
        status,
        error: expect.stringMatching(error),
      })
      expect(JSON.stringify(delivery)).not.toContain(URL_TOKEN)
    }
    expect(elsewhere.received).toEqual([])
  })

  test('is told by how the command ended', async () => {
    const cases: [string, number | null, string][] = [
      [
        executable('fail', 'echo "no pager" >&2', 'exit 3'),
        3,
        'the command ended with exit code 3: no pager',
      ],
      [executable('die', 'kill -9 $$'), null, 'the command was ended by SIGKILL'],
      [`${executable('fine')} --now`, null, 'the command cannot be started (ENOENT)'],
      [folder, null, 'the command cannot be started (EACCES)'],
    ]
    for (const [command, status, error] of cases) {
      expect(await deliver({command})).toMatchObject([{target: 'command', ok: false, status, error}])
    }
  })

  test('does not keep the other from its notice, nor does one that has it already', async () => {
    const receiver = await startReceiver()
    const targets = {...webhook(receiver.url), command: executable('no', 'exit 1')}
    expect(await deliver(targets)).toMatchObject([
      {target: 'webhook', ok: true, status: 204},
      {target: 'command', ok: false, status: 1},
    ])
    expect(await deliverNotice(targets, {...NOTICE, delivered: ['webhook']})).toMatchObject([
      {target: 'command', ok: false},
    ])
    expect(receiver.received).toHaveLength(1)
  })
})

test('a command need not read the notice, and may write what it likes', async () => {
  const command = executable('loud', 'exec 0<&-', 'yes | head -c 1000000', 'yes | head -c 1000000 >&2')
  const body = JSON.stringify('x'.repeat(1_000_000))
  expect(await deliverNotice({webhook: null, command}, {...NOTICE, body})).toMatchObject([{ok: true}])
})

test('a signal ends what waits for a receiver and for a command', async () => {
  const receiver = await startReceiver()
  receiver.answer = () => {}
  const stop = new AbortController()
  const delivered = deliver({...webhook(receiver.url), command: executable('wait', 'sleep 60')}, stop.signal)
  await receiver.untilReceived(1)
  const abortedAt = performance.now()
  stop.abort()
  expect(await delivered).toMatchObject([{ok: false}, {ok: false}])
  expect(performance.now() - abortedAt).toBeLessThan(5000)
})
