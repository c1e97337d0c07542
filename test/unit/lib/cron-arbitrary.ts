import fc from 'fast-check'

/** What the local clock shows. */
export interface LocalTime {
  month: number
  day: number
  weekday: number
  hour: number
  minute: number
}

/** A cron expression together with what it means, found without reading it. */
export interface Cron {
  text: string
  isFixedTime: boolean
  matches(time: LocalTime): boolean
}

interface FieldValues {
  text: string
  values: readonly number[]
}

const span = (from: number, to: number, step = 1): number[] => {
  const values: number[] = []
  for (let value = from; value <= to; value += step) values.push(value)
  return values
}

function anyField(min: number, max: number): fc.Arbitrary<FieldValues> {
  const value = fc.integer({min, max})
  const step = fc.integer({min: 2, max: Math.min(30, max - min + 1)})
  const range = fc.tuple(value, value).map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as const)
  return fc.oneof(
    {arbitrary: fc.constant({text: '*', values: span(min, max)}), weight: 3},
    {arbitrary: step.map((every) => ({text: `*/${every}`, values: span(min, max, every)})), weight: 3},
    {arbitrary: value.map((only) => ({text: `${only}`, values: [only]})), weight: 3},
    fc
      .uniqueArray(value, {minLength: 2, maxLength: 4})
      .map((values) => ({text: values.join(','), values: [...values].sort((a, b) => a - b)})),
    range.map(([from, to]) => ({text: `${from}-${to}`, values: span(from, to)})),
    fc
      .tuple(range, step)
      .map(([[from, to], every]) => ({text: `${from}-${to}/${every}`, values: span(from, to, every)})),
  )
}

/** Often the hours around midnight and the small ones, where clocks change. */
const anyHour = fc.oneof(
  anyField(0, 23),
  fc.constantFrom<number>(0, 1, 2, 3, 23).map((value) => ({text: `${value}`, values: [value]})),
  fc.tuple(fc.integer({min: 0, max: 2}), fc.integer({min: 2, max: 4})).map(([from, to]) => ({
    text: `${from}-${to}`,
    values: span(from, to),
  })),
)
const star = fc.constant({text: '*', values: span(0, 99)})
const anyDayOfMonth = fc
  .oneof({arbitrary: star, weight: 5}, {arbitrary: anyField(1, 31), weight: 1})
  .filter(({values}) => values.some((day) => day <= 28))
const anyMonth = fc.oneof({arbitrary: star, weight: 9}, {arbitrary: anyField(1, 12), weight: 1})
const anyDayOfWeek = fc.oneof({arbitrary: star, weight: 4}, {arbitrary: anyField(0, 6), weight: 1})

/** Expressions of five fields, all of which come within a few years. */
export const anyCron: fc.Arbitrary<Cron> = fc
  .tuple(anyField(0, 59), anyHour, anyDayOfMonth, anyMonth, anyDayOfWeek)
  .map((fields) => {
    const [minute, hour, dayOfMonth, month, dayOfWeek] = fields
    const isEitherDay = !dayOfMonth.text.includes('*') && !dayOfWeek.text.includes('*')
    const text = fields.map((field) => field.text).join(' ')
    return {
      text,
      isFixedTime: !minute.text.includes('*') && !hour.text.includes('*'),
      matches: (time) => {
        const days = [dayOfMonth.values.includes(time.day), dayOfWeek.values.includes(time.weekday)]
        return (
          minute.values.includes(time.minute) &&
          hour.values.includes(time.hour) &&
          month.values.includes(time.month) &&
          (isEitherDay ? days.includes(true) : !days.includes(false))
        )
      },
      toString: () => text,
    }
  })
