import {describe, expect, test} from 'vitest'
import {checkInput, scheduleTarget} from '../../../src/core/schedule-input.ts'

describe('what a person says about a schedule', () => {
  test('is returned as it is stored, and what is not said stays unsaid', () => {
    const input = {name: ' a name ', cron: ` 0  3 *${' '.repeat(100)}* * `, timezone: 'europe/berlin'}
    expect(checkInput({...input, enabled: false, maxAttempts: 2})).toEqual({
      ...{name: ' a name ', cron: '0 3 * * *', timezone: 'Europe/Berlin'},
      ...{enabled: false, maxAttempts: 2},
    })
    expect(checkInput({cron: '@Hourly', name: undefined})).toEqual({cron: '@hourly', name: undefined})
    expect(checkInput({})).toEqual({})
  })

  test.each(['n'.repeat(100), '😀'.repeat(100), 'x', '週間', '550e8400'])('takes the name %j', (name) => {
    expect(checkInput({name})).toEqual({name})
  })

  test.each([
    [{name: ''}, 'name of the schedule is empty'],
    [{name: ' \u3000'}, 'name of the schedule is empty'],
    [{name: 'n'.repeat(101)}, 'has 101 characters; at most 100 fit'],
    [{name: '😀'.repeat(101)}, 'has 101 characters; at most 100 fit'],
    [{name: 'a\nb'}, 'has a control character'],
    [{name: 'a\u0000b'}, 'has a control character'],
    [{name: 'a\u001b[31mb'}, 'has a control character'],
    [{name: 'a\u009bb'}, 'has a control character'],
    [{name: '550e8400-e29b-41d4-a716-446655440000'}, 'looks like an id'],
    [{name: '550E8400-E29B-41D4-A716-446655440000'}, 'looks like an id'],
    [{cron: ''}, 'invalid cron expression "": it is empty'],
    [{cron: '5'}, 'it has 1 field, not five'],
    [{cron: '0 25 * * *'}, 'hour 25 is out of range 0-23'],
    [{cron: '0 0 30 2 *'}, 'never comes'],
    [{cron: '@hurly'}, 'did you mean @hourly?'],
    [{timezone: ''}, 'unknown time zone ""'],
    [{timezone: 'Berlin'}, 'unknown time zone "Berlin"'],
    [{timezone: 'UTC+2'}, 'is an offset'],
  ])('is refused: %j', (input, says) => {
    expect(() => checkInput(input)).toThrow(
      expect.objectContaining({
        code: 'INVALID_ARGUMENT',
        message: expect.stringContaining(says),
        hint: expect.stringMatching(/./),
      }),
    )
  })
})

describe('what a schedule refreshes', () => {
  const payload = {schema: 'public', view_name: 'v'}
  const view = {schemaName: 'public', viewName: 'v'}

  test('is a payload or a view, not both', () => {
    expect(scheduleTarget(payload, undefined)).toEqual({payload})
    expect(scheduleTarget(undefined, view)).toEqual({view})
    expect(scheduleTarget(undefined, undefined)).toBeUndefined()
    expect(() => scheduleTarget(payload, view)).toThrow(expect.objectContaining({code: 'INVALID_ARGUMENT'}))
  })
})
