import {readFileSync} from 'node:fs'
import {describe, expect, test} from 'vitest'
import {commandLineHint} from '../../../src/cli/remedies.ts'
import {presentable} from '../../../src/lib/outside-text.ts'
import {remediable} from '../../../src/lib/unworded.ts'
import {NAMES} from '../../../src/observe/event-names.ts'
import {jsonLine, prettyLine} from '../../../src/observe/log.ts'
import {describeEvent} from '../../../src/observe/worker-log.ts'

const NOW = new Date('2026-03-01T12:34:56.789Z')
const plain = (_: string, text: string) => text

describe('a line of the log', () => {
  const entry = {
    level: 'error',
    event: 'refresh.failed',
    msg: 'failed',
    view: 'public.leaderboard',
    schedule: 'nightly "one"',
    scheduleId: null,
    durationMs: 1500,
    error: 'division by zero\nDETAIL: "x"',
  } as const

  test('is one JSON object, time and level first, without what is not known', () => {
    const line = jsonLine({...entry, jobId: undefined as never}, NOW, 'ayb:1:host:2')
    expect(line).not.toContain('\n')
    expect(Object.entries(JSON.parse(line))).toEqual([
      ['time', '2026-03-01T12:34:56.789Z'],
      ['level', 'error'],
      ['msg', 'failed'],
      ['event', 'refresh.failed'],
      ['view', 'public.leaderboard'],
      ['schedule', 'nightly "one"'],
      ['durationMs', 1500],
      ['error', 'division by zero\nDETAIL: "x"'],
      ['workerId', 'ayb:1:host:2'],
    ])
  })

  test('for people is one line, whatever the database says', () => {
    expect(prettyLine(entry, NOW, plain)).toMatch(
      /^\d{4}-\d\d-\d\d \d\d:34:56 [+-]\d{4} error failed public\.leaderboard in 1\.5 s: division by zero DETAIL: "x" event=refresh\.failed schedule="nightly \\"one\\""$/,
    )
    const hostile = prettyLine({...entry, error: 'a\u001b[2Jb\u0007c\u009bd\u202ee'}, NOW, plain)
    expect(hostile).toMatch(/: a\\x1b\[2Jb\\x07c\\x9bd\\u202ee event=/)
  })

  test('holds no more than 8 kB of a text, and no password of it', () => {
    const error = `${'x'.repeat(4050)} postgres://ann:${'hunter2'.repeat(1000)}@db/app ${'x'.repeat(6000)}`
    const long = {
      level: 'error',
      event: 'refresh.failed',
      msg: error,
      view: error,
      error,
      deadWorkerId: error,
    } as const
    for (const line of [jsonLine(long, NOW), prettyLine(long, NOW, plain)]) {
      expect(line).not.toContain('hunter')
      expect(line).toContain('[cut here: the text is longer than 8 kB]')
      expect(line.length).toBeLessThan(4 * 8192 + 200)
    }
  })

  test.each([
    'public.leaderboard',
    'quo"te',
    'back\\slash',
    'password=hunter2',
    'postgres://me:hunter2@db/app',
    'password hunter2',
    'line\n',
    '\u001b[2J',
    '\u202e',
    'é',
    '',
    'x'.repeat(9000),
  ])('has the text %j as JSON has it, without passwords and cut at 8 kB', (text) => {
    const {view} = JSON.parse(jsonLine({...entry, view: text}, NOW))
    expect(view).toBe(presentable(text))
  })
})

describe('an event', () => {
  const facts = {jobId: 'j', schedule: 'nightly', scheduleId: 's', view: 'public.v', attempt: 2}

  test.each([
    [
      {type: 'job-succeeded', ...facts, durationMs: 5, lockWaitMs: 0} as const,
      'info',
      {...facts, durationMs: 5},
    ],
    [
      {type: 'job-succeeded', ...facts, durationMs: 5, lockWaitMs: 2000.4} as const,
      'info',
      {...facts, durationMs: 5, lockWaitMs: 2000},
    ],
    [
      {type: 'job-waiting', ...facts, waiting: 'waiting for pid 1 for 2 s', waitedMs: 2000} as const,
      'info',
      {...facts, lockWaitMs: 2000},
    ],
    [
      {type: 'job-blocked', ...facts, delayMs: 2000, tries: 1, waiting: 'waiting for pid 1 for 2 s'} as const,
      'debug',
      facts,
    ],
    [
      {type: 'job-failed', ...facts, durationMs: 5, error: 'e', code: 'TIMEOUT', isCalledOff: false} as const,
      'error',
      {...facts, durationMs: 5, error: 'e', code: 'TIMEOUT'},
    ],
    [
      {
        type: 'job-retried',
        ...facts,
        durationMs: 5,
        error: 'e',
        code: null,
        delayMs: 5000,
        isAttemptReturned: false,
      } as const,
      'warn',
      {...facts, durationMs: 5, error: 'e'},
    ],
    [
      {type: 'job-skipped', ...facts, delayMs: 1000, holder: 'pid 7', isNews: true} as const,
      'info',
      {...facts, msg: 'refresh already in progress by pid 7, again in 1.0 s:'},
    ],
    [{type: 'job-skipped', ...facts, delayMs: 1000, holder: null, isNews: false} as const, 'debug', facts],
    [
      {type: 'job-canceled', ...facts} as const,
      'info',
      {...facts, msg: 'canceled, since its schedule was disabled or deleted meanwhile:'},
    ],
    [{type: 'job-interrupted', ...facts, durationMs: 5, isReturned: true} as const, 'warn', facts],
    [{type: 'job-lost', ...facts} as const, 'warn', facts],
    [{type: 'job-unrecorded', ...facts, message: 'why not'} as const, 'warn', facts],
    [
      {type: 'connection-dead', ...facts, pid: 4711} as const,
      'warn',
      {...facts, msg: expect.stringMatching(/^backend 4711 has ended this refresh, /)},
    ],
    [
      {
        type: 'tables-untrusted',
        error: 'refusing to use it',
        advice: {hint: 'look', remedy: {kind: 'trust-role', role: 'ann'}},
      } as const,
      'error',
      {error: 'refusing to use it; look; if you trust that role: export AYB_TRUSTED_OWNER=ann'},
    ],
    [
      {type: 'warning', message: remediable('no table', null, {kind: 'complete-tables'})} as const,
      'warn',
      {msg: expect.stringMatching(/^no table; to mend that, run `ayb migrate`/)},
    ],
    [
      {type: 'job-started', ...facts, latenessMs: 3.4, pastTries: 0} as const,
      'debug',
      {...facts, latenessMs: 3},
    ],
  ])('%j has its level and its fields', (event, level, fields) => {
    expect(describeEvent(event, commandLineHint)).toMatchObject({level, ...fields})
  })

  test('is one that ayb help logs lists', () => {
    const help = readFileSync(new URL('../../../src/help/logs.md', import.meta.url), 'utf8')
    const listed = help.match(/\b[a-z]+\.[a-z_]+\b|\bwarning\b/g)
    for (const [name] of Object.values(NAMES).filter((each) => each !== null)) expect(listed).toContain(name)
  })

  test('that only metrics count is no line', () => {
    expect(describeEvent({type: 'slots', busy: 1, total: 4}, commandLineHint)).toBeNull()
  })
})
