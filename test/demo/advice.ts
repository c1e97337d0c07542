import {mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import type {Declarations, DeclaredChanges} from '../../src/lib/records/declarations.ts'
import type {Diagnosis} from '../../src/lib/records/diagnosis.ts'
import type {Run} from '../../src/lib/records/runs.ts'
import {checkEqual} from './check.ts'
import {VIEW} from './data.ts'
import {say} from './print.ts'
import type {Stage, Step} from './stage.ts'

const CREATE_MONTHLY = `create materialized view monthly as
  select date_trunc('month', started_at) as month, sum(duration_minutes) as minutes from workouts group by 1
  with no data;`
const MONTHLY = 'public.monthly'

/**
 * The part of the story with what ayb advises, and with a file that describes all. It leaves nothing behind.
 */
export const ADVICE_STEPS: readonly Step[] = [
  {title: 'What is wrong?', play: consult},
  {title: 'Which settings are fastest?', play: tuneView},
  {title: 'All of it in a file', play: applyFile},
]

async function consult({shell, owner}: Stage): Promise<void> {
  say(
    'Somebody adds a view without data, and registers the view in a mode that it is not ready for. The workers ' +
      'of the story have ended, while the schedules are still enabled. A look at all of it:',
  )
  await owner.show(CREATE_MONTHLY)
  await shell.run(['matviews', 'register', MONTHLY, '--mode', 'concurrent'])
  await shell.run(['doctor', '--exit-code'], {exitCode: 9})
  const {findings} = await shell.json<Diagnosis>(['doctor'])
  checkEqual(
    findings.map(({check, viewName}) => `${check} ${viewName ?? ''}`.trim()),
    ['no-worker', 'unpopulated monthly', 'missing-index monthly'],
    'what the doctor found',
  )
  say('Each finding says what mends it:')
  const [, , missingIndex] = findings
  await owner.show(missingIndex?.fix.sql ?? '')
  await shell.run(['matviews', 'refresh', MONTHLY, '--mode', 'standard'])
  await shell.run(['doctor', MONTHLY])
  const left = await shell.json<Diagnosis>(['doctor', MONTHLY])
  checkEqual(
    left.findings.map((finding) => finding.check),
    ['no-worker'],
    'what is left for the doctor to find',
  )
}

async function tuneView({shell}: Stage): Promise<void> {
  say(
    'Would the leaderboard be refreshed faster with more memory, or in the other mode? ayb tries all of that in turn, ' +
      'twice, and names a winner only where the difference is larger than the spread:',
  )
  await shell.run(['matviews', 'tune', VIEW, '--try', 'work_mem=64MB', '--rounds', '2'])
  say('A view can have settings of its own. They hold for its refreshes, and for nothing else:')
  await shell.run(['matviews', 'update', VIEW, '--set', 'work_mem=64MB'])
  await shell.run(['matviews', 'refresh', VIEW])
  const [run] = await shell.json<Run[]>(['matviews', 'history', VIEW, '--limit', '1'])
  checkEqual(run?.settings, {work_mem: '64MB'}, 'the settings of the refresh')
  await shell.run(['matviews', 'update', VIEW, '--unset', 'work_mem'])
}

async function applyFile({shell, owner}: Stage): Promise<void> {
  say('What is registered and scheduled can be kept in a file, beside the code of the app. To begin with:')
  await shell.run(['export'])
  const declarations = await shell.json<Declarations>(['export'])
  const folder = mkdtempSync(join(tmpdir(), 'ayb-demo-file-'))
  try {
    const path = join(folder, 'ayb.yaml')
    const {[MONTHLY]: _, ...views} = declarations.views
    const changed = {...declarations, views: {...views, [VIEW]: {...views[VIEW], maxAge: '2h'}}}
    writeFileSync(path, JSON.stringify(changed))
    say(
      'In the file the leaderboard gets a maximum age, and the new view is taken out. What would that change?',
    )
    await shell.run(['diff', '-f', path], {exitCode: 9})
    await shell.run(['apply', '-f', path, '--prune', '--yes'])
    say('A second time, nothing is left to do:')
    await shell.run(['apply', '-f', path, '--prune', '--yes'])
    const again = await shell.json<DeclaredChanges>(['diff', '-f', path])
    checkEqual(again.changes, [], 'differences that are left')
  } finally {
    rmSync(folder, {recursive: true})
  }
  await owner.show('drop materialized view monthly;')
}
