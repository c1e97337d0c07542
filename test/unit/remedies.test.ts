import {describe, expect, test} from 'vitest'
import {commandLineHint} from '../../src/cli/remedies.ts'
import {apiHint} from '../../src/http/api/remedies.ts'
import {AybError} from '../../src/lib/errors.ts'
import type {Advice, Remedy} from '../../src/lib/remedies.ts'

const view = {schemaName: 'sales', viewName: 'weekly stats'}
const jobId = '550e8400-e29b-41d4-a716-446655440000'

/** A remedy of each kind: the compiler asks for the ones that are missing. */
const REMEDIES: {[Kind in Remedy['kind']]: Extract<Remedy, {kind: Kind}>} = {
  'list-registrations': {kind: 'list-registrations'},
  'discover-views': {kind: 'discover-views'},
  'list-schedules': {kind: 'list-schedules'},
  'list-jobs': {kind: 'list-jobs'},
  'show-job': {kind: 'show-job', jobId},
  'register-view': {kind: 'register-view', view},
  'change-mode': {kind: 'change-mode', view, mode: 'concurrent'},
  'unregister-view': {kind: 'unregister-view', view},
  'relink-view': {kind: 'relink-view', renamed: {from: {...view, viewName: 'before'}, to: view}},
  'follow-rename': {kind: 'follow-rename', renamed: {from: {...view, viewName: 'before'}, to: view}},
  'set-mode': {kind: 'set-mode', id: jobId, mode: 'concurrent'},
  'populate-view': {kind: 'populate-view', view},
  'refresh-view': {kind: 'refresh-view', view},
  'refresh-with-dependencies': {kind: 'refresh-with-dependencies', view, unregistered: view},
  'name-views-between': {kind: 'name-views-between'},
  'register-all': {kind: 'register-all'},
  'rename-schedule': {kind: 'rename-schedule', takenName: 'every night'},
  'retime-schedule': {kind: 'retime-schedule', name: 'every night'},
  'keep-promise': {kind: 'keep-promise', view, maxAgeMs: 3_600_000, schedule: null},
  'enable-schedule': {kind: 'enable-schedule', name: 'every night'},
  'disable-schedule': {kind: 'disable-schedule', name: 'every night'},
  'cancel-job': {kind: 'cancel-job', jobId},
  'start-worker': {kind: 'start-worker'},
  'wait-for-refresh': {kind: 'wait-for-refresh'},
  'extend-wait': {kind: 'extend-wait'},
  'extend-statement-timeout': {kind: 'extend-statement-timeout'},
  'extend-lock-timeout': {kind: 'extend-lock-timeout', view, isOnView: true},
  'upgrade-tables': {kind: 'upgrade-tables'},
  'create-tables': {kind: 'create-tables'},
  'complete-tables': {kind: 'complete-tables'},
  'trust-role': {kind: 'trust-role', role: 'ann'},
  'name-server': {kind: 'name-server'},
  'check-service': {kind: 'check-service'},
  'listen-elsewhere': {kind: 'listen-elsewhere'},
  'quote-name': {kind: 'quote-name', example: '"weekly stats"'},
  'write-payload': {kind: 'write-payload'},
  'name-view-once': {kind: 'name-view-once'},
  'leave-timing': {kind: 'leave-timing', part: 'jitter'},
  'report-bug': {kind: 'report-bug'},
}

const each = Object.entries(REMEDIES)

describe('a remedy', () => {
  test.each(each)('%s is worded for a command line, on one line', (_kind, remedy) => {
    const hint = commandLineHint({hint: null, remedy})
    expect(hint).toMatch(/^\S.*\S$/)
    expect(hint).not.toMatch(/\/api\/|undefined|\[object/)
  })

  test.each(each)('%s is worded for the API, without commands and flags', (_kind, remedy) => {
    const hint = apiHint({hint: null, remedy})
    expect(hint).toMatch(/^\S.*\S$/)
    expect(hint).not.toMatch(/--|\bayb [a-z]|`|for the shell|export|DEBUG|undefined|\[object/)
  })

  test('names a view as its readers write it', () => {
    const remedy = {kind: 'register-view', view} as const
    expect(commandLineHint({hint: null, remedy})).toBe(`ayb matviews register 'sales."weekly stats"'`)
    expect(apiHint({hint: null, remedy})).toBe(
      String.raw`register the view: POST /api/admin/matviews with {"viewName": "\"weekly stats\"", "schema": "sales"}`,
    )
    expect(apiHint({hint: null, remedy: {kind: 'refresh-view', view}})).toBe(
      'refresh the view: POST /api/admin/matviews/sales.%22weekly%20stats%22/refresh',
    )
    expect(apiHint({hint: null, remedy: {kind: 'populate-view', view}})).toBe(
      'REFRESH MATERIALIZED VIEW "sales"."weekly stats";',
    )
  })

  test('of a lock that is not of the view does not speak of its mode', () => {
    const remedy = {kind: 'extend-lock-timeout', view, isOnView: false} as const
    for (const hintOf of [commandLineHint, apiHint])
      expect(hintOf({hint: null, remedy})).not.toContain('concurrent')
  })
})

describe('the hint of an error', () => {
  const remedy = {kind: 'trust-role', role: 'ann'} as const

  test.each<[Advice, string | null]>([
    [{hint: null, remedy: null}, null],
    [{hint: 'look', remedy: null}, 'look'],
    [{hint: null, remedy}, 'if you trust that role: export AYB_TRUSTED_OWNER=ann'],
    [{hint: 'look', remedy}, 'look; if you trust that role: export AYB_TRUSTED_OWNER=ann'],
  ])('is its text and its remedy: %j', (advice, hint) => {
    expect(commandLineHint(new AybError('UNTRUSTED_TABLE', 'no', advice))).toBe(hint)
  })

  test('has no password and at most 8 kB, whatever the remedy holds', () => {
    const role = `postgres://ann:hunter2@db/${'x'.repeat(20_000)}`
    for (const hintOf of [commandLineHint, apiHint]) {
      const hint = hintOf({hint: null, remedy: {kind: 'trust-role', role}}) ?? ''
      expect(hint).toContain('ann:***@db')
      expect(Buffer.byteLength(hint)).toBeLessThanOrEqual(8192)
    }
  })
})
