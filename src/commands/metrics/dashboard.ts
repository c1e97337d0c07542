import {BaseCommand} from '../../cli/base-command.ts'
import {grafanaDashboard} from '../../observe/grafana-dashboard.ts'

export default class MetricsDashboard extends BaseCommand {
  static override summary = 'Print a dashboard for Grafana, as JSON.'
  static override description =
    'Needs no database. Import the file in Grafana, and choose the Prometheus that scrapes ayb as its data source.'
  static override examples = ['<%= config.bin %> <%= command.id %> > ayb-dashboard.json']

  async run(): Promise<ReturnType<typeof grafanaDashboard>> {
    await this.parse(MetricsDashboard)
    const dashboard = grafanaDashboard()
    this.print(JSON.stringify(dashboard, null, 2))
    return dashboard
  }
}
