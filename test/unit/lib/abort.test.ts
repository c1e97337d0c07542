import {getEventListeners} from 'node:events'
import {describe, expect, test} from 'vitest'
import {onAbort} from '../../../src/lib/abort.ts'

describe('what is called when a signal aborts', () => {
  test('is called once, in order, and not where that was taken back', () => {
    const controller = new AbortController()
    const calls: string[] = []
    onAbort(controller.signal, () => calls.push('first'))
    const takeBack = onAbort(controller.signal, () => calls.push('second'))
    onAbort(controller.signal, () => calls.push('third'))
    takeBack()
    takeBack()
    controller.abort()
    controller.abort()
    expect(calls).toEqual(['first', 'third'])
  })

  test('is called at once where the signal has aborted, and never without a signal', () => {
    const calls: string[] = []
    onAbort(AbortSignal.abort(), () => calls.push('aborted'))
    onAbort(undefined, () => calls.push('none'))()
    expect(calls).toEqual(['aborted'])
  })

  test('may take back what is still to be called', () => {
    const controller = new AbortController()
    const calls: string[] = []
    let takeBack = () => {}
    onAbort(controller.signal, () => {
      calls.push('first')
      takeBack()
    })
    takeBack = onAbort(controller.signal, () => calls.push('second'))
    controller.abort()
    expect(calls).toEqual(['first'])
  })

  test('shares one listener of the signal', () => {
    const {signal} = new AbortController()
    for (let job = 0; job < 3; job++) onAbort(signal, () => {})
    onAbort(signal, () => {})()
    expect(getEventListeners(signal, 'abort')).toHaveLength(1)
  })
})
