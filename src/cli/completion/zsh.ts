import type {NameKind} from '../../lib/name-kinds.ts'
import {type ArgumentSyntax, type CommandNode, type FlagSyntax, withDescendants} from './command-tree.ts'
import {functionPrefix, quoted} from './quote.ts'

/** The completion for zsh, to be sourced after compinit or put into a folder of fpath as `_<program>`. */
export function zshScript(program: string, root: CommandNode): string {
  const name = functionPrefix(program)
  const functions = withDescendants(root)
    .reverse()
    .map((node) => functionOf(program, node))
  return `#compdef ${program}

# The names in the database, where it answers at once.
${name}_names() {
  local -a names
  local line
  for line in \${(f)"$(${program} complete $1 -- $words 2>/dev/null </dev/null)"}; do
    names+=("\${\${line%%$'\\t'*}//:/\\\\:}:\${line#*$'\\t'}")
  done
  _describe -t names $1 names
}

${functions.join('\n\n')}

if [[ $funcstack[1] == ${name} ]]; then
  ${name} "$@"
elif (( $+functions[compdef] )); then
  compdef ${name} ${quoted(program)}
else
  print -u2 ${quoted(`${program}: load the completion after this line: autoload -Uz compinit && compinit`)}
fi`
}

const namesFunction = (program: string): string => `${functionPrefix(program)}_names`

function functionName(program: string, path: readonly string[]): string {
  return functionPrefix([program, ...path].join('_'))
}

function functionOf(program: string, node: CommandNode): string {
  const name = functionName(program, node.path)
  const body = node.children.length > 0 ? topicBody(program, node) : commandBody(node, namesFunction(program))
  return `${name}() {\n${body}\n}`
}

/** Calls the function of the subcommand. That function sees only the rest of the command line. */
function topicBody(program: string, {path, children, flags}: CommandNode): string {
  const arms = children.map(
    (child) => `      (${quoted(wordOf(child))}) ${functionName(program, child.path)} ;;`,
  )
  const choices = children.map((child) => {
    const word = wordOf(child).replaceAll(/[\\:]/g, '\\$&')
    return `    ${quoted(`${word}:${child.summary.replaceAll('\\', '\\\\')}`)}`
  })
  return `  if (( CURRENT > 2 )); then
    (( CURRENT-- ))
    shift words
    case $words[1] in
${arms.join('\n')}
      (*) return 1 ;;
    esac
    return
  fi
  if [[ $PREFIX == -* ]]; then
${argumentsCall(
  flags.flatMap((flag) => flagSpecs(flag, namesFunction(program))),
  '    ',
)}
    return
  fi
  local -a subcommands
  subcommands=(
${choices.join('\n')}
  )
  _describe -t commands ${quoted(`${[program, ...path].join(' ')} command`)} subcommands`
}

function commandBody({flags, args}: CommandNode, names: string): string {
  return argumentsCall(
    [
      ...flags.flatMap((flag) => flagSpecs(flag, names)),
      ...args.map((arg, index) => argumentSpec(arg, index, names)),
    ],
    '  ',
  )
}

function argumentsCall(specs: readonly string[], indent: string): string {
  return [`${indent}_arguments -S`, ...specs.map((spec) => `${indent}  ${quoted(spec)}`)].join(' \\\n')
}

function flagSpecs(
  {names, summary, takesValue, values, kind, isRepeatable}: FlagSyntax,
  offer: string,
): string[] {
  const value = takesValue ? `:${escaped((names[0] as string).slice(2))}:${action(values, kind, offer)}` : ''
  return names.map((name) => {
    const others = names.filter((other) => other !== name)
    const excluded = others.length > 0 && !isRepeatable ? `(${others.join(' ')})` : ''
    // How a value joins its flag: --flag=value and -fvalue. A space works for both.
    const joint = takesValue ? (name.startsWith('--') ? '=' : '+') : ''
    return `${excluded}${isRepeatable ? '*' : ''}${name}${joint}[${escaped(summary)}]${value}`
  })
}

function argumentSpec(
  {name, values, kind, isRequired, isRepeatable}: ArgumentSyntax,
  index: number,
  offer: string,
): string {
  const place = isRepeatable ? '*:' : `${index + 1}${isRequired ? ':' : '::'}`
  return `${place}${escaped(name)}:${action(values, kind, offer)}`
}

/** The words are evaluated by zsh; a single space completes nothing, and lets zsh say what is expected. */
function action(values: readonly string[], kind: NameKind | null, offer: string): string {
  // The space keeps zsh from adding arguments of its own.
  if (kind !== null) return ` ${offer} ${kind}`
  return values.length > 0 ? `(${values.map(quoted).join(' ').replaceAll(':', '\\:')})` : ' '
}

function escaped(text: string): string {
  return text.replaceAll(/[\\[\]:]/g, '\\$&')
}

const wordOf = (node: CommandNode): string => node.path.at(-1) as string
