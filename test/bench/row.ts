/** What one line of the table says. Ratios are dimensionless: above or below 1 as `target` has it. */
export interface Row {
  /** What was measured, as the table names it. */
  what: string
  /** What it is compared with, or empty. */
  beside: string
  /** What ayb did, with its unit and its spread: `312 ms (±14)`. */
  ours: string
  /** What the other did, likewise. */
  theirs: string
  /** Ours to theirs; null where there is nothing to divide. */
  ratio: number | null
  /** What is to be reached, in words; empty where the row only informs. */
  target: string
  /** Null where there is no target. */
  isMet: boolean | null
  /** What is in the way, or what a reader must know: empty mostly. */
  note: string
}

/** Where the measurements take place, and how thorough they are. */
export interface Bench {
  /** Fewer repetitions and smaller numbers, and only what guards the ratios. */
  isQuick: boolean
  /** Prints progress on stderr. */
  say(text: string): void
}

/** One group of lines, measured together in one run. */
export interface Measurement {
  /** As `--only` names it. */
  name: string
  /** Whether `--quick` runs it too. */
  isQuick: boolean
  measure(bench: Bench): Promise<Row[]>
}
