import {spawnSync} from 'node:child_process'
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {aybProgram, timeProgram} from '../programs.ts'
import type {Measurement, Row} from '../row.ts'
import {createBenchDatabase, startBenchServer} from '../server.ts'
import {describeValues, median} from '../statistics.ts'

const VIEWS = 5000
const ROUNDS = 3
const TARGET_MS = 5000
const EACH = `${VIEWS} views, each with a policy`

/**
 * How long files of many views take: to be written, applied to a database that has none, and applied again;
 * and a file of many schedules that all change.
 */
export const declared: Measurement = {
  name: 'declared',
  isQuick: false,
  async measure(bench) {
    const server = await startBenchServer({})
    const folder = mkdtempSync(join(tmpdir(), 'ayb-bench-declared-'))
    try {
      const db = await createBenchDatabase(server, {views: VIEWS})
      await db.query(
        `insert into _ayb_matview_policies (schema_name, view_name, settings, max_age_ms)
         select r.schema_name, r.view_name, '{"work_mem": "64MB"}', 3600000 from _ayb_matview_refreshes r`,
      )
      bench.say(`${VIEWS} views are there`)
      const path = join(folder, 'ayb.yaml')
      const run = (...args: string[]) => timeProgram(process.execPath, [aybProgram, ...args], {url: db.url})
      const exported = spawnSync(process.execPath, [aybProgram, 'export', '--database-url', db.url], {
        maxBuffer: 100_000_000,
      })
      writeFileSync(path, exported.stdout)
      const times = {
        export: [] as number[],
        create: [] as number[],
        again: [] as number[],
        schedules: [] as number[],
      }
      const schedulesPath = join(folder, 'schedules.yaml')
      for (let round = 0; round < ROUNDS; round++) {
        times.export.push(await run('export'))
        await db.query('delete from _ayb_matview_refreshes')
        await db.query('delete from _ayb_matview_policies')
        times.create.push(await run('apply', '-f', path))
        times.again.push(await run('apply', '-f', path))
        const file = (cron: string) =>
          Array.from({length: VIEWS}, (_, n) => `  s${n}: {view: v${n}, cron: "${cron}", jitter: 1m}`)
        await db.query('delete from _ayb_job_schedules')
        writeFileSync(schedulesPath, ['version: 1', 'schedules:', ...file('0 1 * * *')].join('\n'))
        await run('apply', '-f', schedulesPath)
        writeFileSync(schedulesPath, ['version: 1', 'schedules:', ...file('0 2 * * *')].join('\n'))
        times.schedules.push(await run('apply', '-f', schedulesPath))
      }
      return [
        row(`export, ${EACH}`, times.export),
        row(`apply, where none is registered, ${EACH}`, times.create),
        row(`apply, where nothing changes, ${EACH}`, times.again),
        row(`apply, where each of ${VIEWS} schedules gets another expression`, times.schedules),
      ]
    } finally {
      rmSync(folder, {recursive: true})
      await server.stop()
    }
  },
}

const row = (what: string, values: readonly number[]): Row => ({
  what,
  beside: '',
  ours: describeValues(values, 'ms'),
  theirs: '',
  ratio: null,
  target: `at most ${TARGET_MS} ms`,
  isMet: median(values) <= TARGET_MS,
  note: `median of ${ROUNDS}, the start of Node.js included`,
})
