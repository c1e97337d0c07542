import {type ArgumentSyntax, type CommandNode, type FlagSyntax, withDescendants} from './command-tree.ts'
import {functionPrefix, quoted} from './quote.ts'

/** The completion for zsh, to be sourced after compinit or put into a folder of fpath as `_<program>`. */
export function zshScript(program: string, root: CommandNode): string {
  const name = functionPrefix(program)
  const functions = withDescendants(root)
    .reverse()
    .map((node) => functionOf(program, node))
  return `#compdef ${program}

${functions.join('\n\n')}

if [[ $funcstack[1] == ${name} ]]; then
  ${name} "$@"
elif (( $+functions[compdef] )); then
  compdef ${name} ${quoted(program)}
else
  print -u2 ${quoted(`${program}: load the completion after this line: autoload -Uz compinit && compinit`)}
fi`
}

function functionName(program: string, path: readonly string[]): string {
  return functionPrefix([program, ...path].join('_'))
}

function functionOf(program: string, node: CommandNode): string {
  const name = functionName(program, node.path)
  const body = node.children.length > 0 ? topicBody(program, node) : commandBody(node)
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
${argumentsCall(flags.flatMap(flagSpecs), '    ')}
    return
  fi
  local -a subcommands
  subcommands=(
${choices.join('\n')}
  )
  _describe -t commands ${quoted(`${[program, ...path].join(' ')} command`)} subcommands`
}

function commandBody({flags, args}: CommandNode): string {
  return argumentsCall([...flags.flatMap(flagSpecs), ...args.map(argumentSpec)], '  ')
}

function argumentsCall(specs: readonly string[], indent: string): string {
  return [`${indent}_arguments -S`, ...specs.map((spec) => `${indent}  ${quoted(spec)}`)].join(' \\\n')
}

function flagSpecs({names, summary, takesValue, values, isRepeatable}: FlagSyntax): string[] {
  const value = takesValue ? `:${escaped((names[0] as string).slice(2))}:${action(values)}` : ''
  return names.map((name) => {
    const others = names.filter((other) => other !== name)
    const excluded = others.length > 0 && !isRepeatable ? `(${others.join(' ')})` : ''
    // How a value joins its flag: --flag=value and -fvalue. A space works for both.
    const joint = takesValue ? (name.startsWith('--') ? '=' : '+') : ''
    return `${excluded}${isRepeatable ? '*' : ''}${name}${joint}[${escaped(summary)}]${value}`
  })
}

function argumentSpec({name, values, isRequired, isRepeatable}: ArgumentSyntax, index: number): string {
  const place = isRepeatable ? '*:' : `${index + 1}${isRequired ? ':' : '::'}`
  return `${place}${escaped(name)}:${action(values)}`
}

/** The words are evaluated by zsh; a single space completes nothing, and lets zsh say what is expected. */
function action(values: readonly string[]): string {
  return values.length > 0 ? `(${values.map(quoted).join(' ').replaceAll(':', '\\:')})` : ' '
}

function escaped(text: string): string {
  return text.replaceAll(/[\\[\]:]/g, '\\$&')
}

const wordOf = (node: CommandNode): string => node.path.at(-1) as string
