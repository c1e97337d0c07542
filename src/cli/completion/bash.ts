import {type CommandNode, withDescendants} from './command-tree.ts'
import {functionPrefix, quoted} from './quote.ts'

/** Where an argument can be repeated. */
const MANY = 1000

/**
 * The completion for bash. It runs on bash 3.2, as macOS has it: no associative arrays, no mapfile, no
 * compopt; and under `set -u`, where an empty array counts as unset up to 4.3, hence
 * `${words[@]+"${words[@]}"}`.
 */
export function bashScript(program: string, root: CommandNode): string {
  const name = functionPrefix(program)
  const nodes = withDescendants(root)
  return `# bash completion for ${program}

# What can follow the words of a topic or command. valued: the flags that take a value; arity: how many arguments.
${name}_syntax() {
  subcommands=() flags=() valued=() arity=0
  case $1 in
${nodes.map(syntaxCase).join('\n')}
  esac
}

# The values of a flag, or of the argument with that number, where only some are allowed.
${name}_values() {
  values=()
  case $1 in
${nodes.flatMap((node) => valueCases(node, name)).join('\n')}
  esac
}

# The names in the database, where it answers at once. Names that need quotes get them.
${name}_names() {
  local name rest
  while IFS=$'\t' read -r name rest; do
    printf -v name %q "$name"
    values[\${#values[@]}]=$name
  done < <(${program} complete "$1" -- "\${@:2}" 2>/dev/null </dev/null)
}

${name}_contains() {
  local wanted=$1 word
  shift
  for word; do
    [[ $word == "$wanted" ]] && return 0
  done
  return 1
}

${name}() {
  local IFS=$' \\t\\n'
  local -a words subcommands flags valued values candidates
  local word current path='' flag='' prefix='' after_dashes='' joins='' arity=0 position=1 i last

  # bash splits --flag=value and scheme://host at = and :, each of these a word of its own.
  words=()
  for ((i = 1; i <= COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]-}
    last=$((\${#words[@]} - 1))
    if [[ -n $word && $word != *[!=:]* && last -ge 0 ]]; then
      words[last]=\${words[last]}$word
      joins=yes
    elif [[ -n $word && -n $joins ]]; then
      words[last]=\${words[last]}$word
      joins=''
    else
      words[last+1]=$word
      joins=''
    fi
  done
  last=$((\${#words[@]} - 1))
  current=\${words[last]-}

  ${name}_syntax ''
  for ((i = 0; i < last; i++)); do
    word=\${words[i]}
    if [[ -n $flag ]]; then
      flag=''
    elif [[ $word == -- ]]; then
      after_dashes=yes
    elif [[ -z $after_dashes && $word == -* ]]; then
      if ${name}_contains "$word" \${valued[@]+"\${valued[@]}"}; then flag=$word; fi
    elif [[ position -eq 1 ]] && ${name}_contains "$word" \${subcommands[@]+"\${subcommands[@]}"}; then
      path=\${path:+$path }$word
      ${name}_syntax "$path"
    else
      position=$((position + 1))
    fi
  done

  if [[ -z $flag && -z $after_dashes && $current == --*=* ]]; then
    flag=\${current%%=*}
    current=\${current#*=}
    # Where = ends a word, only what follows it is replaced.
    [[ \${COMP_WORDBREAKS-} == *=* ]] || prefix=$flag=
  fi

  candidates=()
  if [[ -n $flag ]]; then
    ${name}_values "$path $flag" "\${words[@]}"
    candidates=(\${values[@]+"\${values[@]}"})
  elif [[ -z $after_dashes && $current == -* ]]; then
    candidates=(\${flags[@]+"\${flags[@]}"})
  elif [[ position -eq 1 && \${#subcommands[@]} -gt 0 ]]; then
    candidates=("\${subcommands[@]}")
  elif [[ position -le arity ]]; then
    ${name}_values "$path $position" "\${words[@]}"
    candidates=(\${values[@]+"\${values[@]}"})
  elif [[ -z $after_dashes && -z $current && \${#subcommands[@]} -eq 0 ]]; then
    candidates=(\${flags[@]+"\${flags[@]}"})
  fi

  COMPREPLY=()
  for word in \${candidates[@]+"\${candidates[@]}"}; do
    [[ $word == "$current"* ]] && COMPREPLY[\${#COMPREPLY[@]}]=$prefix$word
  done
  return 0
}

complete -F ${name} ${quoted(program)}`
}

function syntaxCase({path, children, flags, args}: CommandNode): string {
  const words = children.map((child) => child.path.at(-1) as string)
  // Offers no short names: with them, Tab could not insert the `--` that all long names begin with.
  const offered = flags.flatMap(({names}) => names.filter((name) => name.startsWith('--')))
  const valued = flags.flatMap(({names, takesValue}) => (takesValue ? names : []))
  return [
    `    ${quoted(path.join(' '))})`,
    ...assignment('subcommands', words),
    ...assignment('flags', offered),
    ...assignment('valued', valued),
    ...(args.length > 0 ? [`      arity=${args.at(-1)?.isRepeatable ? MANY : args.length}`] : []),
    '      ;;',
  ].join('\n')
}

function assignment(variable: string, words: readonly string[]): string[] {
  return words.length > 0 ? [`      ${variable}=(${words.map(quoted).join(' ')})`] : []
}

function valueCases({path, flags, args}: CommandNode, name: string): string[] {
  const at = path.join(' ')
  const ofFlags = flags.flatMap(({names, values, kind}) =>
    names.map((flag) => ({key: quoted(`${at} ${flag}`), values, kind})),
  )
  const ofArgs = args.map(({values, kind, isRepeatable}, index) => ({
    key: isRepeatable ? `${quoted(`${at} `)}[0-9]*` : quoted(`${at} ${index + 1}`),
    ...{values, kind},
  }))
  return [...ofFlags, ...ofArgs]
    .filter(({values, kind}) => values.length > 0 || kind !== null)
    .map(({key, values, kind}) => {
      const found =
        kind === null ? `values=(${values.map(quoted).join(' ')})` : `${name}_names ${kind} "\${@:2}"`
      return `    ${key}) ${found} ;;`
    })
}
