/** The text as one word of bash and zsh. The text may hold any characters. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`
}

/**
 * The prefix of a program's functions in a script: the name of the program, with only the characters that
 * every shell allows in the name of a function.
 */
export function functionPrefix(program: string): string {
  return `_${program.replaceAll(/[^A-Za-z0-9_]/g, '_')}`
}
