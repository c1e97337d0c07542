import type {NameKind} from '../../lib/name-kinds.ts'
import {type ArgumentSyntax, type CommandNode, type FlagSyntax, withDescendants} from './command-tree.ts'
import {functionPrefix} from './quote.ts'

/** The completion for fish, to be sourced or put into `completions/<program>.fish`. */
export function fishScript(program: string, root: CommandNode): string {
  const prefix = `_${functionPrefix(program)}`
  const complete = `complete -c ${quoted(program)}`
  const nodes = withDescendants(root)
  const lines = nodes.flatMap((node) => linesOf(node, complete, prefix))
  const valued = valuedFlags(nodes)
  return `# fish completion for ${program}

# The words after the program, up to the cursor; assignments before it are not among them.
function ${prefix}_words
    set -l words (commandline -opc)
    while string match -q -- '*=*' "$words[1]"
        set -e words[1]
    end
    set -q words[2]; and printf '%s\\n' $words[2..-1]
end

# Whether the line begins with these words.
function ${prefix}_in
    set -l words (${prefix}_words)
    set -l last (count $argv)
    test $last -eq 0; or test "$words[1..$last]" = "$argv"
end

# The words that are neither flags nor what a flag takes.
function ${prefix}_arguments
    set -l is_value no
    for word in (${prefix}_words)
        if test $is_value = yes
            set is_value no
        else if contains -- $word ${valued.join(' ')}
            set is_value yes
        else if not string match -q -- '-*' $word
            printf '%s\\n' $word
        end
    end
end

# Whether the next argument is the one with that number, after these words.
function ${prefix}_next
    set -l words (${prefix}_arguments)
    set -l position $argv[1]
    set -e argv[1]
    test (count $words) -eq (math (count $argv) + $position - 1); and ${prefix}_in $argv
end

# The same for an argument that can be repeated.
function ${prefix}_next_or_later
    set -l words (${prefix}_arguments)
    set -l position $argv[1]
    set -e argv[1]
    test (count $words) -ge (math (count $argv) + $position - 1); and ${prefix}_in $argv
end

# The names in the database, with a note behind a tab, where it answers at once.
function ${prefix}_names
    type -q ${program}; or return
    ${program} complete $argv[1] -- (${prefix}_words) 2>/dev/null </dev/null
end

${complete} -e
${complete} -f
${lines.join('\n')}`
}

/** The flags that take a value, in any command. */
function valuedFlags(nodes: readonly CommandNode[]): string[] {
  const names = nodes.flatMap(({flags}) => flags.flatMap((flag) => (flag.takesValue ? flag.names : [])))
  return [...new Set(names)].sort()
}

function linesOf(node: CommandNode, complete: string, prefix: string): string[] {
  const next = (position: number, test = 'next') =>
    `-n ${quoted([`${prefix}_${test}`, position, ...node.path].join(' '))}`
  const at = `-n ${quoted(node.path.length > 0 ? `${prefix}_in ${node.path.join(' ')}` : `${prefix}_next 1`)}`
  return [
    ...node.children.map(
      ({path, summary}) =>
        `${complete} ${next(1)} -a ${valueList([path.at(-1) as string])} -d ${quoted(summary)}`,
    ),
    ...node.flags.map((flag) => `${complete} ${at} ${flagOptions(flag, prefix)}`),
    ...node.args.flatMap((arg, index) =>
      argumentLine(
        arg,
        `${complete} ${next(index + 1, arg.isRepeatable ? 'next_or_later' : 'next')}`,
        prefix,
      ),
    ),
  ]
}

function flagOptions({names, summary, takesValue, values, kind}: FlagSyntax, prefix: string): string {
  const spellings = names.map((name) =>
    name.startsWith('--') ? `-l ${quoted(name.slice(2))}` : `-s ${quoted(name.slice(1))}`,
  )
  return [
    ...spellings,
    ...(takesValue ? ['-x'] : []),
    ...(values.length > 0 ? [`-a ${valueList(values)}`] : []),
    ...(kind === null ? [] : [`-a ${nameList(kind, prefix)}`]),
    `-d ${quoted(summary)}`,
  ].join(' ')
}

function argumentLine({name, values, kind}: ArgumentSyntax, line: string, prefix: string): string[] {
  if (kind !== null) return [`${line} -a ${nameList(kind, prefix)}`]
  return values.length > 0 ? [`${line} -a ${valueList(values)} -d ${quoted(name)}`] : []
}

/** fish calls the function when it completes. */
const nameList = (kind: NameKind, prefix: string): string => quoted(`(${prefix}_names ${kind})`)

/** fish expands the list once more when it completes, so each word is quoted within it. */
function valueList(values: readonly string[]): string {
  return quoted(values.map((value) => (/^[\w-]+$/.test(value) ? value : quoted(value))).join(' '))
}

/** The text as one word of fish, where a backslash escapes inside single quotes. */
function quoted(text: string): string {
  return `'${text.replaceAll(/[\\']/g, '\\$&')}'`
}
