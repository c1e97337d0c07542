import {useEffect, useState} from 'preact/hooks'

/** So many rows take a few milliseconds; more of them at once would hold up what a person types or clicks. */
const SLICE = 10

/**
 * The first of the items, and more of them in each further task, until all are shown; from the beginning for
 * another key.
 */
export function useSlices<Item>(items: readonly Item[], key: string): readonly Item[] {
  const [state, setState] = useState({key, count: SLICE})
  const count = state.key === key ? state.count : SLICE
  const isDone = count >= items.length
  useEffect(() => {
    if (isDone) return
    const timer = setTimeout(() => setState({key, count: count + SLICE}))
    return () => clearTimeout(timer)
  }, [key, count, isDone])
  return isDone ? items : items.slice(0, count)
}
