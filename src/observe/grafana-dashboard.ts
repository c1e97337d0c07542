/** One panel of the dashboard. */
interface Panel {
  title: string
  type: 'stat' | 'table' | 'timeseries'
  expr: string
  legend?: string
  unit: string
  width: number
  height: number
}

/** The variables that Grafana asks for. */
const DATA_SOURCE = 'datasource'
const DATABASE = 'database'

/**
 * The greatest value that any process tells, of each database that is chosen, and there of each view or state:
 * all processes tell the same of a database, and may be scraped by several jobs of Prometheus.
 */
function ofDatabases(metric: string, part: 'view' | 'state' | null, selector = ''): string {
  const labels = ['database', 'system_identifier', ...(part === null ? [] : [part])]
  return `max by (${labels.join(', ')}) (${metric}{database=~"$${DATABASE}"${selector}})`
}

const ofViews = (metric: string): string => ofDatabases(metric, 'view')

const OF_VIEW = '{{database}} {{view}}'

const PANELS: readonly Panel[] = [
  {
    title: 'Workers',
    type: 'stat',
    expr: `sum(${ofDatabases('ayb_workers', null)})`,
    unit: 'none',
    width: 6,
    height: 4,
  },
  {
    title: 'Views older than allowed',
    type: 'stat',
    expr: `count(time() - ${ofViews('ayb_view_fresh_timestamp_seconds')} > ${ofViews('ayb_view_max_age_seconds')}) or vector(0)`,
    unit: 'none',
    width: 6,
    height: 4,
  },
  {
    title: 'Views that fail',
    type: 'stat',
    expr: `count(${ofViews('ayb_view_consecutive_failures')} > 0) or vector(0)`,
    unit: 'none',
    width: 6,
    height: 4,
  },
  {
    title: 'Views that are overdue',
    type: 'stat',
    expr: `sum(${ofViews('ayb_view_overdue')}) or vector(0)`,
    unit: 'none',
    width: 6,
    height: 4,
  },
  {
    title: 'Age of the data, the oldest ten',
    type: 'timeseries',
    expr: `topk(10, time() - (${ofViews('ayb_view_fresh_timestamp_seconds')} > 0))`,
    legend: OF_VIEW,
    unit: 's',
    width: 12,
    height: 9,
  },
  {
    title: 'Duration of the last refresh, the longest ten',
    type: 'timeseries',
    expr: `topk(10, ${ofViews('ayb_view_last_duration_seconds')})`,
    legend: OF_VIEW,
    unit: 's',
    width: 12,
    height: 9,
  },
  {
    title: 'Failures since the last success',
    type: 'timeseries',
    expr: `${ofViews('ayb_view_consecutive_failures')} > 0`,
    legend: OF_VIEW,
    unit: 'none',
    width: 12,
    height: 9,
  },
  {
    title: 'Running for',
    type: 'timeseries',
    expr: `${ofViews('ayb_view_running_seconds')} > 0`,
    legend: OF_VIEW,
    unit: 's',
    width: 12,
    height: 9,
  },
  {
    title: 'Size of the views, the largest ten',
    type: 'timeseries',
    expr: `topk(10, ${ofViews('ayb_view_size_bytes')})`,
    legend: OF_VIEW,
    unit: 'bytes',
    width: 12,
    height: 9,
  },
  {
    title: 'Jobs',
    type: 'timeseries',
    expr: ofDatabases('ayb_jobs', 'state', ',state=~"queued|running|waiting|failed"'),
    legend: '{{database}} {{state}}',
    unit: 'none',
    width: 12,
    height: 9,
  },
]

const COLUMNS = 24
const PROMETHEUS = {type: 'prometheus', uid: `\${${DATA_SOURCE}}`}

/** A dashboard for Grafana, as its import takes it. */
export function grafanaDashboard() {
  let [x, y, rowHeight] = [0, 0, 0]
  const panels = PANELS.map(({title, type, expr, legend, unit, width, height}, index) => {
    if (x + width > COLUMNS) [x, y, rowHeight] = [0, y + rowHeight, 0]
    const gridPos = {x, y, w: width, h: height}
    x += width
    rowHeight = Math.max(rowHeight, height)
    return {
      id: index + 1,
      title,
      type,
      gridPos,
      datasource: PROMETHEUS,
      fieldConfig: {defaults: {unit}, overrides: []},
      targets: [{refId: 'A', expr, ...(legend === undefined ? {} : {legendFormat: legend})}],
    }
  })
  return {
    title: 'ayb: materialized views',
    uid: 'ayb',
    schemaVersion: 39,
    tags: ['ayb', 'postgresql'],
    time: {from: 'now-24h', to: 'now'},
    refresh: '1m',
    templating: {
      list: [
        {name: DATA_SOURCE, type: 'datasource', query: 'prometheus'},
        {
          name: DATABASE,
          type: 'query',
          datasource: PROMETHEUS,
          query: 'label_values(ayb_workers, database)',
          refresh: 2,
          multi: true,
          includeAll: true,
          allValue: '.*',
          current: {text: 'All', value: '$__all'},
        },
      ],
    },
    panels,
  }
}
