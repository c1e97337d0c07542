import {describe, expect, test} from 'vitest'
import {
  changeSettings,
  isAllowedSetting,
  parseSetting,
  parseSettingName,
  readSettings,
  settingChanges,
} from '../../../src/lib/postgres-settings.ts'

describe('parseSetting', () => {
  test.each([
    ['work_mem=256MB', ['work_mem', '256MB']],
    ['WORK_MEM = 256MB ', ['work_mem', '256MB']],
    ['temp_tablespaces=', ['temp_tablespaces', '']],
    ['temp_tablespaces=fast, "a=b"', ['temp_tablespaces', 'fast, "a=b"']],
    ['enable_hashjoin=off', ['enable_hashjoin', 'off']],
    ["work_mem='; drop table users; --", ['work_mem', "'; drop table users; --"]],
  ])('reads %j', (text, [name, value]) => {
    expect(parseSetting(text, '--set')).toEqual({name, value})
  })

  test.each([
    'work_mem',
    '=1',
    'search_path=public',
    'session_replication_role=replica',
    'role=postgres',
    'statement_timeout=1',
    'row_security=off',
    'ayb.base_relations=x',
    'enable_=on',
    'enable_x y=on',
    'enable_x;drop table users;--=on',
    '"work_mem"=1',
    "work_mem', '1', true), set_config('role=postgres",
    '__proto__=1',
    'constructor=1',
    'work_mem=1\u0000',
    'work_mem=1\n2',
    `work_mem=${'9'.repeat(1001)}`,
  ])('refuses %j', (text) => {
    expect(() => parseSetting(text, '--set')).toThrow(expect.objectContaining({code: 'INVALID_ARGUMENT'}))
  })

  test('names the nearest setting', () => {
    expect(() => parseSettingName('workmem', '--unset')).toThrow(
      expect.objectContaining({
        message: '--unset: a refresh cannot set "workmem"',
        hint: expect.stringMatching(/^did you mean work_mem\? a refresh may set work_mem, /),
      }),
    )
  })
})

test('of two values for one name the later counts, and nothing is both given and taken away', () => {
  const given = [
    {name: 'work_mem', value: '1MB'},
    {name: 'work_mem', value: '2MB'},
  ]
  expect(settingChanges(given, ['jit'])).toEqual({work_mem: '2MB', jit: null})
  expect(() => settingChanges(given, ['work_mem'])).toThrow('work_mem is both set and unset')
})

test('changes add, replace and take away', () => {
  const settings = {work_mem: '1MB', jit: 'off'}
  const changed = changeSettings(settings, {
    jit: null,
    work_mem: '2MB',
    enable_sort: 'off',
    seq_page_cost: null,
  })
  expect(changed).toEqual({enable_sort: 'off', work_mem: '2MB'})
  expect(Object.keys(changed)).toEqual(['enable_sort', 'work_mem'])
})

test('what was stored by somebody else is used only as far as a refresh may set it', () => {
  const stored = JSON.parse(
    '{"work_mem": "1MB", "jit": false, "search_path": "evil", "seq_page_cost": "1\\u0000", "__proto__": "x"}',
  )
  expect(readSettings(stored)).toEqual({
    settings: {work_mem: '1MB'},
    unknown: ['jit', 'search_path', 'seq_page_cost', '__proto__'],
  })
  for (const nothing of [null, 'work_mem', 5, [], {}]) {
    expect(readSettings(nothing)).toEqual({settings: {}, unknown: []})
  }
})

test('every name that is allowed is a plain word', () => {
  for (const name of ['work_mem', 'enable_seqscan']) expect(isAllowedSetting(name)).toBe(true)
  for (const name of ['enable_a"b', 'enable_A', 'enable_ä', 'work_mem\n', '\nwork_mem', 'enable_x\n'])
    expect(isAllowedSetting(name), name).toBe(false)
})
