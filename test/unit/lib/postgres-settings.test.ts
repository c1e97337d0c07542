import {describe, expect, test} from 'vitest'
import {
  changeSettings,
  isAllowedSetting,
  parseSetting,
  parseSettingName,
  settingChanges,
  storedSettings,
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

test('what was stored by somebody else is read as far as it is text', () => {
  expect(storedSettings({work_mem: '1MB', jit: false, seq_page_cost: 1, a: null, b: {}})).toEqual({
    work_mem: '1MB',
  })
  for (const nothing of [null, 5, [], {}]) expect(storedSettings(nothing)).toEqual({})
  const long = Object.entries(storedSettings({work_mem: 'x'.repeat(1_000_000), ['y'.repeat(1_000_000)]: ''}))
  for (const [name, value] of long) {
    expect(name.length + value.length).toBeLessThan(10_000)
    expect(isAllowedSetting({name, value})).toBe(false)
  }
  const many = Object.fromEntries(Array.from({length: 1000}, (_, n) => [`enable_${n}`, 'on']))
  expect(Object.keys(storedSettings(many))).toHaveLength(100)
})

test('every name that is allowed is a plain word', () => {
  const isAllowed = (name: string, value = '1') => isAllowedSetting({name, value})
  for (const name of ['work_mem', 'enable_seqscan']) expect(isAllowed(name)).toBe(true)
  for (const name of [
    'search_path',
    '__proto__',
    'enable_a"b',
    'enable_A',
    'enable_ä',
    'work_mem\n',
    'enable_x\n',
  ])
    expect(isAllowed(name), name).toBe(false)
  expect(isAllowed('work_mem', '1\u0000')).toBe(false)
})
