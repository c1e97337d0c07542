/** The text as one word of bash and zsh, whatever is in it. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`
}

/**
 * The prefix of a program's functions in a script: its name, made of what every shell takes in a function's
 * name.
 */
export function functionPrefix(program: string): string {
  return `_${program.replaceAll(/[^A-Za-z0-9_]/g, '_')}`
}
