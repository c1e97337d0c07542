import {expect, it} from 'vitest'
import {printableName} from '../../../src/render/text.ts'

it('names a view as a command line takes it', () => {
  expect(printableName({schemaName: 'public', viewName: 'weekly stats'})).toBe('public."weekly stats"')
  expect(printableName({schemaName: 'public', viewName: 'a\u001bb'})).toBe('public."a\\x1bb"')
})
