import {displayWidth, shorten} from './width.ts'

/** A line that is written over itself, without the escape sequences that NO_COLOR is set against. */
export function ownLine(stream: NodeJS.WriteStream, columns: number) {
  let width = 0
  const show = (text: string) => {
    // The last column is left free: some terminals wrap there already.
    const shown = shorten(text, (stream.columns || columns) - 1)
    const rest = width - displayWidth(shown)
    stream.write(`\r${shown}${' '.repeat(Math.max(0, rest))}`)
    width = displayWidth(shown)
  }
  return {
    show,
    /** Leaves an empty line, and the cursor at its start. */
    clear(): void {
      if (width === 0) return
      show('')
      stream.write('\r')
    },
  }
}
