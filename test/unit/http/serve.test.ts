import {expect, test} from 'vitest'
import {type ServeOptions, serve} from '../../../src/http/serve.ts'

test('pools are closed where the API cannot be built', async () => {
  const calls: string[] = []
  const poolOf = (name: string) => ({
    dropAll: () => calls.push(`drop ${name}`),
    close: async () => calls.push(`close ${name}`),
  })
  const options = {
    pool: poolOf('pool'),
    readers: poolOf('readers'),
    refreshes: poolOf('refreshes'),
    readToken: null,
    corsOrigins: [],
    token: 'a-token-for-tests-0123456789',
    hasPublicCollections: false,
    hasAllViews: false,
    listen: {host: '127.0.0.1', port: 0},
    allowedHosts: [],
    isPooled: false,
    collectionsUrl: null,
    shutdownTimeoutMs: 0,
    worker: null,
    observer: {log: () => {}},
    version: '0.0.0',
  } as unknown as ServeOptions
  // The files of the dashboard are in dist: beside the sources, they are missing.
  await expect(serve(options, new AbortController().signal)).rejects.toThrow(/ENOENT.*index\.html/)
  expect(calls.slice(0, 3).sort()).toEqual(['drop pool', 'drop readers', 'drop refreshes'])
  expect(calls.slice(3).sort()).toEqual(['close pool', 'close readers', 'close refreshes'])
})
