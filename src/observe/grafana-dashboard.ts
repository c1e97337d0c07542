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

const PANELS: readonly Panel[] = [
  {title: 'Workers', type: 'stat', expr: 'max(ayb_workers)', unit: 'none', width: 6, height: 4},
  {
    title: 'Views older than allowed',
    type: 'stat',
    expr: 'count(time() - max by (view) (ayb_view_fresh_timestamp_seconds) > max by (view) (ayb_view_max_age_seconds)) or vector(0)',
    unit: 'none',
    width: 6,
    height: 4,
  },
  {
    title: 'Views that fail',
    type: 'stat',
    expr: 'count(max by (view) (ayb_view_consecutive_failures) > 0) or vector(0)',
    unit: 'none',
    width: 6,
    height: 4,
  },
  {
    title: 'Views that are overdue',
    type: 'stat',
    expr: 'sum(max by (view) (ayb_view_overdue)) or vector(0)',
    unit: 'none',
    width: 6,
    height: 4,
  },
  {
    title: 'Age of the data, the oldest ten',
    type: 'timeseries',
    expr: 'topk(10, time() - max by (view) (ayb_view_fresh_timestamp_seconds > 0))',
    legend: '{{view}}',
    unit: 's',
    width: 12,
    height: 9,
  },
  {
    title: 'Duration of the last refresh, the longest ten',
    type: 'timeseries',
    expr: 'topk(10, max by (view) (ayb_view_last_duration_seconds))',
    legend: '{{view}}',
    unit: 's',
    width: 12,
    height: 9,
  },
  {
    title: 'Failures since the last success',
    type: 'timeseries',
    expr: 'max by (view) (ayb_view_consecutive_failures) > 0',
    legend: '{{view}}',
    unit: 'none',
    width: 12,
    height: 9,
  },
  {
    title: 'Running for',
    type: 'timeseries',
    expr: 'max by (view) (ayb_view_running_seconds) > 0',
    legend: '{{view}}',
    unit: 's',
    width: 12,
    height: 9,
  },
  {
    title: 'Size of the views, the largest ten',
    type: 'timeseries',
    expr: 'topk(10, max by (view) (ayb_view_size_bytes))',
    legend: '{{view}}',
    unit: 'bytes',
    width: 12,
    height: 9,
  },
  {
    title: 'Jobs',
    type: 'timeseries',
    expr: 'max by (state) (ayb_jobs{state=~"queued|running|waiting|failed"})',
    legend: '{{state}}',
    unit: 'none',
    width: 12,
    height: 9,
  },
]

const COLUMNS = 24
/** The variable that Grafana asks for. */
const DATA_SOURCE = 'datasource'

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
      datasource: {type: 'prometheus', uid: `\${${DATA_SOURCE}}`},
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
    templating: {list: [{name: DATA_SOURCE, type: 'datasource', query: 'prometheus'}]},
    panels,
  }
}
