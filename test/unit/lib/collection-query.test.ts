import fc from 'fast-check'
import {describe, expect, test} from 'vitest'
import {parseCollectionQuery, type RawQuery} from '../../../src/lib/collection-query.ts'
import {AybError} from '../../../src/lib/errors.ts'

const refusalOf = (raw: RawQuery): AybError => {
  try {
    parseCollectionQuery(raw)
  } catch (error) {
    if (error instanceof AybError) return error
    throw error
  }
  throw new Error('it was taken')
}

describe('the parameters of a request for rows', () => {
  test('are all optional', () => {
    expect(parseCollectionQuery({})).toEqual({page: 1, perPage: 30, sort: [], fields: null, filters: []})
  })

  test('say which page, in which order, with which columns', () => {
    const query = parseCollectionQuery({
      page: '3',
      perPage: '500',
      sort: '-total_minutes,name',
      fields: 'id,name',
    })
    expect(query).toEqual({
      page: 3,
      perPage: 500,
      sort: [
        {column: 'total_minutes', isDescending: true},
        {column: 'name', isDescending: false},
      ],
      fields: ['id', 'name'],
      filters: [],
    })
  })

  test.each<[string, string, object]>([
    ['name', 'x', {column: 'name', operator: 'eq', value: 'x'}],
    ['name', '', {column: 'name', operator: 'eq', value: ''}],
    ['total[gte]', '5', {column: 'total', operator: 'gte', value: '5'}],
    ['page[eq]', '5', {column: 'page', operator: 'eq', value: '5'}],
    ['a[0][ne]', '5', {column: 'a[0]', operator: 'ne', value: '5'}],
    ['a]b', '5', {column: 'a]b', operator: 'eq', value: '5'}],
    ['weekly "x"\n[lt]', '5', {column: 'weekly "x"\n', operator: 'lt', value: '5'}],
    ['name[null]', 'true', {column: 'name', operator: 'null', isNull: true}],
    ['name[null]', 'false', {column: 'name', operator: 'null', isNull: false}],
    ['__proto__', 'x', {column: '__proto__', operator: 'eq', value: 'x'}],
    ['constructor[eq]', 'x', {column: 'constructor', operator: 'eq', value: 'x'}],
  ])('filter as %j=%s', (parameter, value, filter) => {
    const raw = Object.fromEntries([[parameter, value]])
    expect(parseCollectionQuery(raw).filters).toEqual([{parameter, ...filter}])
  })

  test.each<[RawQuery, RegExp]>([
    [{page: '0'}, /^page is not a whole number from 1 to \d+: "0"/],
    [{page: '-1'}, /^page is not/],
    [{page: '1.5'}, /^page is not/],
    [{page: '1e3'}, /^page is not/],
    [{page: ''}, /^page is not/],
    [{page: '1; drop table users'}, /^page is not/],
    [{page: '300239975158034'}, /^page is not a whole number from 1 to 300239975158033/],
    [{page: '9'.repeat(400)}, /^page is not/],
    [{perPage: '501'}, /^perPage is not a whole number from 1 to 500: "501"/],
    [{perPage: '0'}, /^perPage is not/],
    [{sort: ''}, /^sort has an empty column name/],
    [{sort: '-'}, /^sort has an empty column name/],
    [{sort: 'a,,b'}, /^sort has an empty column name/],
    [{sort: 'a,-a'}, /^sort names the column "a" twice/],
    [{sort: '"a'}, /^sort has a quote that is not closed/],
    [{sort: 'a"b"'}, /^sort has a quote inside a name/],
    [{fields: 'a,b,'}, /^fields has an empty column name/],
    [{fields: 'a,b,a'}, /^fields names the column "a" twice/],
    [{page: ['1', '2']}, /^the parameter "page" is given more than once/],
    [{name: ['x', 'y']}, /^the parameter "name" is given more than once/],
    [{'name[gte]': ['x', 'y']}, /^the parameter "name\[gte\]" is given more than once/],
    [{'name[gtee]': '1'}, /^"name\[gtee\]" has an unknown operator: "gtee"; did you mean gte\?/],
    [{'name[like]': '1'}, /^"name\[like\]" has an unknown operator: "like"/],
    [{'name[]': '1'}, /^"name\[\]" has an unknown operator: ""/],
    [{'name[null]': 'yes'}, /^"name\[null\]" is neither true nor false: "yes"/],
  ])('are refused by name: %j', (raw, message) => {
    const {code, message: text, hint} = refusalOf(raw)
    expect({code, text, hint}).toEqual({
      code: 'INVALID_ARGUMENT',
      text: expect.stringMatching(message),
      hint: expect.any(String),
    })
  })

  test('take any column name in double quotes', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.string({minLength: 1}), {minLength: 1}), (columns) => {
        const quoted = columns.map((column) => `"${column.replaceAll('"', '""')}"`)
        expect(parseCollectionQuery({fields: quoted.join(',')}).fields).toEqual(columns)
        const sort = parseCollectionQuery({sort: quoted.map((column) => `-${column}`).join(',')}).sort
        expect(sort).toEqual(columns.map((column) => ({column, isDescending: true})))
      }),
    )
  })

  test('are taken or refused, whatever is sent', () => {
    const text = fc.oneof(fc.string(), fc.stringMatching(/^[ab",\-[\]]{0,60}$/))
    fc.assert(
      fc.property(text, text, text, (sort, fields, parameter) => {
        try {
          parseCollectionQuery(
            Object.fromEntries([
              ['sort', sort],
              ['fields', fields],
              [parameter, 'x'],
            ]),
          )
        } catch (error) {
          expect(error).toMatchObject({code: 'INVALID_ARGUMENT'})
        }
      }),
    )
  })
})
