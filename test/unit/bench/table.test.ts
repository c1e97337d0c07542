import {describe, expect, it} from 'vitest'
import {replaceSections, toMarkdown} from '../../bench/table.ts'

const section = (name: string, what: string, note = '') => ({
  name,
  rows: [{what, beside: '', ours: '', theirs: '', ratio: null, target: '', isMet: null, note}],
})

describe('results of the benchmark', () => {
  const environment = [['date', 'later']] as const
  const results = toMarkdown(
    [['date', 'first']],
    [section('one', 'old one', 'a note'), section('two', 'old two'), section('three', 'old three')],
  )

  it.each(['one', 'two', 'three'])('have %s measured again in its place, and nothing else', (name) => {
    const after = replaceSections(results, environment, [section(name, `new ${name}`)])
    expect(after.match(/^## .*$/gm)).toEqual(results.match(/^## .*$/gm))
    expect(after).toContain(`## ${name}\n\nMeasured again: later\n\n| what`)
    const others = ['one', 'two', 'three'].filter((other) => other !== name)
    expect(after.match(/(?:old|new) \w+/g)?.sort()).toEqual(
      [`new ${name}`, ...others.map((other) => `old ${other}`)].sort(),
    )
    expect(after.endsWith('\n') && !after.endsWith('\n\n')).toBe(true)
  })

  it('leave out what they have not had', () => {
    expect(replaceSections(results, environment, [section('four', 'new four')])).toBe(results)
  })
})
