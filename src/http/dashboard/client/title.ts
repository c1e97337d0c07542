import {useEffect} from 'preact/hooks'

/** Sets the title of the browser tab; the database tells tabs apart. */
export function useTitle(title: string, database: string | null = null): void {
  useEffect(() => {
    document.title = [title, ...(database === null ? [] : [database]), 'ayb'].join(' · ')
  }, [title, database])
}
