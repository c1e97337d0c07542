interface Props {
  /** From 1. */
  page: number
  perPage: number
  total: number
  linkOf: (page: number) => string
}

/** The way to the other pages of a list; nothing where there is one page. */
export function Pager({page, perPage, total, linkOf}: Props) {
  const pages = Math.ceil(total / perPage)
  if (pages <= 1 && page === 1) return null
  const first = (page - 1) * perPage + 1
  return (
    <nav class="pager" aria-label="Pages of the list">
      {page > 1 ? <a href={linkOf(page - 1)}>Previous</a> : <span class="hint">Previous</span>}
      <span>
        {first.toLocaleString('en')} to {Math.min(total, page * perPage).toLocaleString('en')} of{' '}
        {total.toLocaleString('en')}
      </span>
      {page < pages ? <a href={linkOf(page + 1)}>Next</a> : <span class="hint">Next</span>}
    </nav>
  )
}
