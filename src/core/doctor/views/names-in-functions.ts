// A guess at what a function reads. Postgres could tell, but would have to run code of the types in it.

interface Token {
  /** Without the double quotes. */
  text: string
  kind: 'word' | 'quoted' | 'sign'
}

const TOKEN =
  /--[^\n]*|'(?:[^']|'')*'|(?<dollars>\$(?:[a-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$)|"(?<quoted>(?:[^"]|"")+)"|(?<word>[a-z_\u0080-\uffff][\w$\u0080-\uffff]*)|(?<sign>[^\s\d])/gi

/** Comments nest. A backslash escapes in a text that begins with E. */
function tokensOf(source: string): Token[] {
  const text = withoutComments(source).replaceAll(/\be'(?:[^'\\]|\\.|'')*'/gis, "''")
  const tokens: Token[] = []
  const pattern = new RegExp(TOKEN)
  for (let match = pattern.exec(text); match; match = pattern.exec(text)) {
    const {dollars, quoted, word, sign} = match.groups ?? {}
    if (dollars !== undefined) {
      const end = text.indexOf(dollars, pattern.lastIndex)
      // A long source is cut, perhaps within a quote.
      if (end === -1) break
      pattern.lastIndex = end + dollars.length
    } else if (quoted !== undefined) tokens.push({text: quoted.replaceAll('""', '"'), kind: 'quoted'})
    else if (word !== undefined) tokens.push({text: word.toLowerCase(), kind: 'word'})
    else if (sign !== undefined) tokens.push({text: sign, kind: 'sign'})
  }
  return tokens
}

function withoutComments(source: string): string {
  const outside = /'(?:[^']|'')*'|--[^\n]*|\/\*/g
  const inside = /\/\*|\*\//g
  let kept = ''
  let from = 0
  let depth = 0
  for (let at = 0; ; ) {
    const marks = depth === 0 ? outside : inside
    marks.lastIndex = at
    const mark = marks.exec(source)
    if (!mark) return depth === 0 ? kept + source.slice(from) : kept
    at = marks.lastIndex
    if (mark[0] === '/*') {
      if (depth++ === 0) kept += `${source.slice(from, mark.index)} `
    } else if (mark[0] === '*/' && --depth === 0) from = at
  }
}

/** In these, FROM stands before a value. */
const FROM_VALUE = new Set(['extract', 'substring', 'trim', 'overlay'])

/** What ends a FROM clause. */
const ENDS = new Set(
  'where group having order limit offset fetch for window union intersect except into loop returning select'.split(
    ' ',
  ),
)

/** The relations that a function reads by names without a schema, as far as its text shows. */
export function namesWithoutSchema(source: string): string[] {
  const tokens = tokensOf(source)
  const own = namesOfWith(tokens)
  const names = new Set<string>()
  /** For each open parenthesis the word before it, and whether a FROM clause is open within. */
  const open: {before: string; isInFrom: boolean}[] = [{before: '', isInFrom: false}]
  for (const [place, {text, kind}] of tokens.entries()) {
    const level = open.at(-1)
    if (!level) break
    if (kind === 'sign') {
      if (text === '(') open.push({before: tokens[place - 1]?.text ?? '', isInFrom: false})
      if (text === ')' && open.length > 1) open.pop()
      if (text === ';') level.isInFrom = false
    }
    const isValue = FROM_VALUE.has(level.before) || tokens[place - 1]?.text === 'distinct'
    if (kind === 'word' && text === 'from' && !isValue) level.isInFrom = true
    else if (kind === 'word' && ENDS.has(text)) level.isInFrom = false
    const beginsItem = (kind === 'word' && (text === 'from' || text === 'join')) || text === ','
    const name = beginsItem && (level.isInFrom || text === 'join') ? relationAt(tokens, place + 1) : null
    if (name !== null && !own.has(name)) names.add(name)
  }
  return [...names]
}

/** The name at the start of an item of a FROM clause; null for a function, a query and a name with a schema. */
function relationAt(tokens: readonly Token[], start: number): string | null {
  let place = start
  // ONLY, and a join in parentheses, unless a query follows.
  while (isUnquoted(tokens[place], 'only') || isUnquoted(tokens[place], '(')) place++
  const token = tokens[place]
  if (!token || token.kind === 'sign') return null
  if (token.kind === 'word' && ['lateral', 'select', 'with', 'values'].includes(token.text)) return null
  const next = tokens[place + 1]
  return isUnquoted(next, '.') || isUnquoted(next, '(') ? null : token.text
}

const isUnquoted = (token: Token | undefined, text: string): boolean =>
  token?.text === text && token.kind !== 'quoted'

/** The names of the parts of WITH clauses. */
function namesOfWith(tokens: readonly Token[]): Set<string> {
  const names = new Set<string>()
  for (const [place, {text, kind}] of tokens.entries()) {
    if (kind !== 'word' || text !== 'as') continue
    let next = place + 1
    while (['not', 'materialized'].includes(tokens[next]?.text ?? '')) next++
    if (tokens[next]?.text !== '(') continue
    let before = place - 1
    // Skip the names of the columns.
    if (tokens[before]?.text === ')') {
      while (before > 0 && tokens[before]?.text !== '(') before--
      before--
    }
    names.add(tokens[before]?.text ?? '')
  }
  return names
}
