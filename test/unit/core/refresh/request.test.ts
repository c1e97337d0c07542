import {describe, expect, test} from 'vitest'
import {mergeSettings, wantedSettings} from '../../../../src/core/refresh/request.ts'

describe('what several parties say together', () => {
  test('is nothing where nobody says anything', () => {
    const nothing = {timeoutMs: null, lockTimeoutMs: null, lockRetryForMs: null, postgres: {}}
    expect(mergeSettings([])).toEqual(nothing)
    expect(mergeSettings([wantedSettings(), wantedSettings()])).toEqual(nothing)
  })

  test('is for each limit what the strongest party says that names the limit; 0 is a limit, too', () => {
    const merged = mergeSettings([
      wantedSettings({lockRetryForMs: 0}),
      wantedSettings({timeoutMs: 2, lockTimeoutMs: 20, lockRetryForMs: 200}),
      wantedSettings({timeoutMs: 3, lockTimeoutMs: 30, lockRetryForMs: 300}),
    ])
    expect(merged).toMatchObject({timeoutMs: 2, lockTimeoutMs: 20, lockRetryForMs: 0})
  })

  test('gives up after one try where the strongest lock timeout comes without a time to retry', () => {
    const merged = mergeSettings([wantedSettings({lockTimeoutMs: 5}), wantedSettings({lockRetryForMs: 300})])
    expect(merged).toMatchObject({lockTimeoutMs: 5, lockRetryForMs: null})
  })

  test('has all settings of Postgres, but those that a stronger party replaces or takes away', () => {
    const merged = mergeSettings([
      wantedSettings({postgres: {jit: null, work_mem: '3MB'}}),
      wantedSettings({postgres: {jit: 'off', work_mem: '2MB', enable_sort: 'off'}}),
    ])
    expect(merged.postgres).toEqual({work_mem: '3MB', enable_sort: 'off'})
  })
})
