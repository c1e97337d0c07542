import {useCallback, useRef} from 'preact/hooks'
import {toApiError} from './api.ts'
import type {Notify} from './toasts.tsx'

/**
 * Does what a button of a row is for, once however often it is pressed meanwhile; `work` returns what to say
 * about it. `done` is called in any case: an error, too, can mean that the page is old.
 */
export function useRowAction(notify: Notify, done: () => void) {
  const underWay = useRef(new Set<string>())
  return useCallback(
    async (key: string, work: () => Promise<string>): Promise<void> => {
      if (underWay.current.has(key)) return
      underWay.current.add(key)
      try {
        notify('success', await work())
      } catch (caught) {
        const error = toApiError(caught)
        notify('error', error.message, error.hint)
      } finally {
        underWay.current.delete(key)
        done()
      }
    },
    [notify, done],
  )
}
