import {useEffect, useState} from 'preact/hooks'

const listeners = new Set<() => void>()
let timer: number | undefined

/**
 * The text that `describe` makes of the current time, each second. The page changes only when the text
 * changes.
 */
export function useTicking(describe: (nowMs: number) => string): string {
  const text = describe(Date.now())
  const [, setShown] = useState(text)
  useEffect(() => {
    const tick = () => setShown(describe(Date.now()))
    tick()
    listeners.add(tick)
    timer ??= setInterval(() => {
      for (const listener of listeners) listener()
    }, 1000)
    return () => {
      listeners.delete(tick)
      if (listeners.size > 0) return
      clearInterval(timer)
      timer = undefined
    }
  })
  return text
}
