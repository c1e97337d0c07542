import {describe, expect, test} from 'vitest'
import type {AybError} from '../../../src/lib/errors.ts'
import {jobFailed} from '../../../src/lib/failures/jobs.ts'
import {
  lockTimeout,
  mayNotRefresh,
  ownerMayNot,
  refreshFailed,
  statementTimeout,
} from '../../../src/lib/failures/refreshes.ts'
import {notRegistered} from '../../../src/lib/failures/registrations.ts'
import {
  blockedError,
  notPopulated,
  uniqueIndexRequired,
  viewNotFound,
  viewRenamed,
} from '../../../src/lib/failures/views.ts'

const id = '550e8400-e29b-41d4-a716-446655440000'
const view = {schemaName: 'sales', viewName: 'weekly stats'}
const renamed = {from: {...view, viewName: 'before'}, to: view}
const privilege = {role: 'ann', view: 'sales.v', action: 'read t', grantor: 'bob', statement: 'GRANT …'}

const serverError = (words: string) =>
  Object.assign(new Error(words), {sqlstate: '22012', words, detail: null, serverHint: null})

const ERRORS: AybError[] = [
  refreshFailed(view, serverError('division by zero')),
  refreshFailed(
    view,
    serverError('x was never populated, and a concurrent refresh needs rows to compare with'),
  ),
  statementTimeout(view, 1000),
  lockTimeout(view, {timeoutMs: 1000, tries: 1, elapsedMs: 1000, wait: null}),
  ...(['schema', 'view', 'tables'] as const).map((what) => mayNotRefresh(view, 'ann', what, 'GRANT …')),
  ownerMayNot(view, [privilege], serverError('permission denied')),
  notRegistered(view, null),
  viewNotFound(view, null, null),
  viewNotFound(view, 'table', null),
  viewNotFound(view, 'partitioned index', null),
  viewRenamed(renamed, null),
  viewRenamed(renamed, 'foreign table'),
  blockedError(notPopulated(view)),
  blockedError(uniqueIndexRequired(view, [], null)),
]

describe('the error of a failed job', () => {
  test.each(ERRORS.map((error) => [error.code, error.message] as const))('is %s for: %s', (code, message) => {
    expect(jobFailed({id, lastError: message})).toMatchObject({
      code,
      message: `job ${id} failed: ${message}`,
      details: {jobId: id},
    })
  })

  test.each(['the words of another program', null])('is REFRESH_FAILED for %j', (lastError) => {
    expect(jobFailed({id, lastError}).code).toBe('REFRESH_FAILED')
  })
})
