import {BaseCommand} from '../../cli/base-command.ts'
import {ALERT_RULES} from '../../observe/alert-rules.ts'

/** The result of `ayb metrics rules`. */
interface RulesDocument {
  rules: string
  warnings: string[]
}

export default class MetricsRules extends BaseCommand {
  static override summary = 'Print alert rules for Prometheus.'
  static override description =
    'Needs no database. The alerts are about views whose data is older than allowed, about refreshes that fail, are overdue or take five times as long as usual, and about missing workers. They use the metrics that ayb worker --listen and ayb serve offer at /metrics.'
  static override examples = ['<%= config.bin %> <%= command.id %> > ayb-rules.yml']

  async run(): Promise<RulesDocument> {
    await this.parse(MetricsRules)
    this.print(ALERT_RULES.trimEnd())
    return {rules: ALERT_RULES, warnings: []}
  }
}
