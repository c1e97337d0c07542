import {useEffect} from 'preact/hooks'

/**
 * Moves the focus when the focused element is removed, such as the row of a deleted schedule: to the row in
 * the same place, else to the heading. Without this, the focus would start over at the top of the page.
 */
export function useKeptFocus(): void {
  useEffect(() => {
    let focused: Element | null = null
    let row: Element | null = null

    const follow = () => {
      focused = document.activeElement
      row = focused?.closest('tr') ?? null
    }
    const observer = new MutationObserver(() => {
      if (!focused || focused.isConnected || document.activeElement !== document.body) return
      const next = row?.isConnected ? row.querySelector<HTMLElement>('.actions button') : null
      ;(next ?? document.querySelector<HTMLElement>('main h1'))?.focus()
    })
    document.addEventListener('focusin', follow)
    observer.observe(document.body, {childList: true, subtree: true})
    return () => {
      document.removeEventListener('focusin', follow)
      observer.disconnect()
    }
  }, [])
}
