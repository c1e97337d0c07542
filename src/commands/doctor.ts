import * as Flags from '@oclif/core/flags'
import {BaseCommand} from '../cli/base-command.ts'
import {viewArg} from '../cli/flags.ts'
import {repairCommand} from '../cli/repair-commands.ts'
import {diagnose} from '../core/doctor/diagnose.ts'
import type {Diagnosis} from '../lib/records/diagnosis.ts'
import {renderDiagnosis, summarizeDiagnosis} from '../render/diagnosis.ts'

/** Looked, and not all is as wanted. */
const NOT_AS_WANTED = 9

export default class Doctor extends BaseCommand {
  static override summary = 'Look for what is wrong with registered views, schedules and the server.'
  static override description =
    `Each finding has a severity, the facts, and the statement or command that mends it. error: refreshes or readers fail. warning: something is slow, or will fail. info: good to know.

Reads catalogs, statistics and the history; takes no lock on a view, and changes nothing.`
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> public.leaderboard --exit-code',
  ]
  static override args = {view: viewArg({multiple: true})}
  static override flags = {
    'exit-code': Flags.boolean({
      summary: 'Exit with 9 if a finding is an error or a warning.',
    }),
  }

  async run(): Promise<Diagnosis> {
    const {args, flags} = await this.parse(Doctor)
    const found = await this.withDatabase(flags, (db) => diagnose(db, args.view ?? []))
    const findings = found.findings.map(({sql, repair, ...finding}) => ({
      ...finding,
      fix: {sql, command: repairCommand(repair)},
    }))
    const diagnosis: Diagnosis = {...found, findings}
    await this.show((context) => renderDiagnosis(diagnosis, context))
    this.printBeside(() => summarizeDiagnosis(diagnosis))
    const {error, warning} = diagnosis.counts
    if (flags['exit-code'] && error + warning > 0) process.exitCode = NOT_AS_WANTED
    return diagnosis
  }
}
