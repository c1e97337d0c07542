import {styleText} from 'node:util'

const WIDTH = Math.min(80, process.stdout.columns || 80)

/** Whether the demo, and what it runs, may use colours. */
export const hasColors = process.stdout.isTTY === true && !process.env.NO_COLOR && process.env.TERM !== 'dumb'

type Format = Parameters<typeof styleText>[0]

/** The heading of a step. */
export function printHeading(text: string): void {
  const rule = '─'.repeat(Math.max(3, WIDTH - text.length - 1))
  printGap()
  print(`${styled(['bold', 'cyan'], text)} ${styled('dim', rule)}`)
}

/** Prose, wrapped at 80 columns. */
export function say(text: string): void {
  printGap()
  for (const line of wrap(text, WIDTH)) print(line)
  printGap()
}

/** What somebody types after a prompt, with further lines below the first. */
export function printInput(prompt: string, text: string): void {
  const [first = '', ...rest] = text.split('\n')
  print(`${styled('dim', prompt)} ${styled('bold', first)}`)
  for (const line of rest) print(styled('bold', line))
}

/** Something that the demo says about what was just to be seen: an exit code, a number of rows. */
export function printRemark(text: string): void {
  print(styled('dim', `(${text})`))
}

/** A line of a program in the background. */
export function printLogLine(name: string, line: string): void {
  print(`${styled('dim', `${name} |`)} ${line}`)
}

/** How it all ended, where it ended well. */
export function printSuccess(text: string): void {
  printGap()
  print(styled('green', text))
}

/** Rows as psql shows them. */
export function printRows(rows: readonly Record<string, unknown>[]): void {
  const names = Object.keys(rows[0] ?? {})
  const columns = names.map((name) => {
    const texts = rows.map((row) => String(row[name] ?? ''))
    const width = Math.max(name.length, ...texts.map((text) => text.length))
    const isNumeric = texts.every((text) => /^-?\d+$/.test(text))
    const cells = texts.map((text) => (isNumeric ? text.padStart(width) : text.padEnd(width)))
    return {width, header: center(name, width), cells}
  })
  const line = (cells: string[]) => ` ${cells.join(' | ')}`.trimEnd()
  print(line(columns.map(({header}) => header)))
  print(columns.map(({width}) => '-'.repeat(width + 2)).join('+'))
  for (const index of rows.keys()) print(line(columns.map(({cells}) => cells[index] ?? '')))
  printGap()
}

let isAfterGap = false

/** One line as it is, however long: what gets pasted. */
export function print(line: string): void {
  process.stdout.write(`${line}\n`)
  isAfterGap = false
}

/** An empty line, unless there is one already. */
function printGap(): void {
  if (!isAfterGap) process.stdout.write('\n')
  isAfterGap = true
}

/** What went wrong, on stderr. */
export function printFailure(text: string): void {
  process.stderr.write(`\n${styled(['bold', 'red'], 'The demo failed:')} ${text}\n`)
}

/** Takes away what a program that was killed has left: half a line, and no cursor. */
export function resetTerminal(): void {
  if (process.stdout.isTTY) process.stdout.write('\r\u001b[K\u001b[?25h')
}

function styled(format: Format, text: string): string {
  return hasColors ? styleText(format, text) : text
}

function center(text: string, width: number): string {
  return text.padStart(Math.floor((width + text.length) / 2)).padEnd(width)
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = []
  for (const word of text.split(/\s+/)) {
    const line = lines.at(-1)
    if (line === undefined || line.length + 1 + word.length > width) lines.push(word)
    else lines[lines.length - 1] = `${line} ${word}`
  }
  return lines
}
