import {describe, expect, test} from 'vitest'
import {nearestName} from '../../../src/core/lookup.ts'
import {parseViewName} from '../../../src/lib/identifier.ts'

const nearestTo = (typed: string, names: readonly string[]) =>
  nearestName(parseViewName(typed), names.map(parseViewName))

describe('the nearest name of a view', () => {
  test('is the same view elsewhere, before a similar spelling', () => {
    expect(nearestTo('public.sales', ['public.sale', 'archive.sales'])).toBe('archive.sales')
  })

  test('is the same view elsewhere in other letters, too', () => {
    expect(nearestTo('public.sales', ['public.sale', 'archive.Sales'])).toBe('archive.Sales')
  })

  test('is a similar spelling in the same schema, before one elsewhere', () => {
    expect(nearestTo('public.sales', ['publik.sales2', 'public.sale'])).toBe('public.sale')
  })

  test('compares the names of views alone within a schema, however long the name of the schema is', () => {
    expect(nearestTo('a_schema_with_a_long_name.ab', ['a_schema_with_a_long_name.xy'])).toBeNull()
  })

  test('is a similar spelling of both names elsewhere', () => {
    expect(nearestTo('publc.sale', ['archive.other', 'public.sales'])).toBe('public.sales')
  })

  test('is never the name itself', () => {
    expect(nearestTo('public.sales', ['public.sales'])).toBeNull()
  })

  test('is none where nothing is similar', () => {
    expect(nearestTo('public.sales', ['public.frobnication', 'archive.weekly'])).toBeNull()
    expect(nearestTo('public.sales', [])).toBeNull()
  })
})
