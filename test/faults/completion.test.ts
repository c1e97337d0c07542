import {spawnSync} from 'node:child_process'
import {existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {type AddressInfo, createServer} from 'node:net'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {afterAll, beforeAll, describe, expect, it} from 'vitest'
import {bashScript} from '../../src/cli/completion/bash.ts'
import type {CommandNode, FlagSyntax} from '../../src/cli/completion/command-tree.ts'
import {fishScript} from '../../src/cli/completion/fish.ts'
import {zshScript} from '../../src/cli/completion/zsh.ts'
import {ayb} from '../support/ayb.ts'
import {createTestDatabase} from '../support/database.ts'
import {insertJob} from '../support/jobs.ts'
import {register} from '../support/refresh.ts'
import {insertSchedule} from '../support/schedules.ts'
import {until} from '../support/until.ts'

const folder = mkdtempSync(join(tmpdir(), 'ayb-completion-'))
afterAll(() => rmSync(folder, {recursive: true, force: true}))

/** What a shell offers at the end of the line, and what it says of each. */
type Complete = (line: string) => Record<string, string>

/**
 * Runs a shell without its start files, in the folder of this test.
 * @throws Error where the shell is missing, fails or complains
 */
function run(shell: string, args: string[], env: Record<string, string> = {}): string {
  const bin = join(folder, 'bin')
  const {error, status, stdout, stderr} = spawnSync(shell, args, {
    cwd: folder,
    encoding: 'utf8',
    timeout: 20_000,
    env: {PATH: `${bin}:${process.env.PATH ?? ''}`, HOME: folder, TERM: 'dumb', ...env},
  })
  if ((error as NodeJS.ErrnoException | undefined)?.code === 'ENOENT') throw new Error(`install ${shell}`)
  if (error) throw error
  if (status !== 0 || stderr !== '') throw new Error(`${shell} ended with ${status}: ${stderr}${stdout}`)
  return stdout
}

function save(name: string, text: string): string {
  const path = join(folder, name)
  writeFileSync(path, text)
  return path
}

/** `word<TAB>summary` a line. */
function parse(output: string): Record<string, string> {
  const lines = output.split('\n').filter((line) => line !== '')
  return Object.fromEntries(lines.map((line) => [line.split('\t')[0], line.split('\t')[1] ?? '']))
}

function completeInBash(script: string): Complete {
  return (line) => parse(bashReply(script, line.split(' ')))
}

/** COMPREPLY, a word a line, for the words as bash splits them. */
function bashReply(script: string, words: string[], wordBreaks = ' \t\n"\'><=;|&(:'): string {
  const call = `
    set -u
    source "$1"; shift
    COMP_WORDBREAKS=$1; shift
    COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
    spec=$(complete -p "$1"); spec=\${spec#*-F }
    "\${spec%% *}"
    ((\${#COMPREPLY[@]} == 0)) || printf '%s\\n' "\${COMPREPLY[@]}"`
  return run('bash', ['--norc', '--noprofile', '-c', call, 'bash', script, wordBreaks, ...words])
}

function completeInFish(script: string): Complete {
  return (line) => parse(run('fish', ['--no-config', '-c', `source ${script}; complete -C "$argv"`, line]))
}

/**
 * zsh completes in its line editor alone, which wants a terminal: a second zsh on a pseudoterminal gets the
 * line and a Tab, and its compadd, which every completion ends in, notes what it is given.
 */
function completeInZsh(name: string, load: string): Complete {
  const inner = save(
    `${name}-inner.zsh`,
    `PROMPT=
autoload -Uz compinit
compinit -D -u
${load}
COLUMNS=1000 LINES=1000 LISTMAX=1000
compadd() {
  if [[ " \${(j: :)\${(@)argv[1,(i)(-|--)]}} " == *\\ -(O|A|D)\\ * ]]; then
    builtin compadd "$@"
    return
  fi
  local -a words texts
  local index=\${argv[(i)-d]}
  (( index <= $# )) && texts=("\${(@P)argv[index + 1]}")
  builtin compadd -A words -D texts "$@"
  for (( index = 1; index <= $#words; index++ )); do
    print -r -- "$words[index]"$'\\t'"\${texts[index]#* -- }" >> $OFFERED
  done
  builtin compadd "$@"
}
comppostfuncs=(leave)
leave() { exit }
bindkey '^I' complete-word
`,
  )
  const outer = `
    zmodload zsh/zpty
    zpty inner zsh -f -i
    zpty -w inner "source $1"
    zpty -w -n inner "$2"$'\\t'
    while zpty -r inner chunk; do :; done`
  return (line) => {
    const offered = save('offered', '')
    run('zsh', ['-f', '-c', outer, 'zsh', inner, line], {OFFERED: offered})
    return parse(readFileSync(offered, 'utf8'))
  }
}

async function scriptOf(shell: string): Promise<string> {
  const {code, stdout, stderr} = await ayb(['completion', shell])
  expect({code, stderr}).toEqual({code: 0, stderr: ''})
  return stdout
}

const WAYS: [string, () => Promise<Complete>][] = [
  ['bash', async () => completeInBash(save('ayb.bash', await scriptOf('bash')))],
  ['fish', async () => completeInFish(save('ayb.fish', await scriptOf('fish')))],
  ['zsh', async () => completeInZsh('sourced', `source ${save('ayb.zsh', await scriptOf('zsh'))}`)],
]

describe.each(WAYS)('%s', (shell, load) => {
  let complete: Complete
  beforeAll(async () => {
    complete = await load()
  })
  const words = (line: string) => Object.keys(complete(line)).sort()

  it('completes topics and commands', () => {
    expect(words('ayb ')).toEqual(expect.arrayContaining(['completion', 'matviews', 'migrate']))
    expect(words('ayb matv')).toEqual(['matviews'])
    expect(words('ayb matviews re')).toEqual(['refresh', 'register', 'relink'])
    expect(words('ayb matviews nothing')).toEqual([])
  })

  it('completes the flags of the program, a topic and a command', () => {
    expect(words('ayb --')).toEqual(['--help', '--version'])
    expect(words('ayb matviews --')).toEqual(['--help'])
    expect(words('ayb matviews refresh --')).toEqual(
      expect.arrayContaining(['--database-url', '--help', '--json', '--mode', '--wait', '--wait-timeout']),
    )
    expect(words('ayb matviews refresh public.leaderboard --lock-t')).toEqual(['--lock-timeout'])
  })

  it('completes the values of a flag', () => {
    expect(words('ayb matviews refresh --mode ')).toEqual(['auto', 'concurrent', 'standard'])
    expect(words('ayb matviews refresh --wait x --mode s')).toEqual(['standard'])
    expect(words('ayb matviews refresh --timeout ')).toEqual([])
  })

  it('completes what ayb help explains', () => {
    expect(words('ayb help con')).toEqual(['concurrency', 'connecting'])
    expect(words('ayb help ma')).toEqual(['matviews'])
  })

  it('completes the names of the shells', () => {
    expect(words('ayb completion ')).toEqual(['bash', 'fish', 'zsh'])
    expect(words('ayb completion --json z')).toEqual(['zsh'])
    expect(words('ayb completion bash z')).toEqual([])
  })

  // bash itself finds the function for a path and skips assignments, and has no summaries.
  it.runIf(shell !== 'bash')('completes a program that is called by its path, behind an assignment', () => {
    expect(words('/opt/bin/ayb matv')).toEqual(['matviews'])
    expect(words('PGHOST=db ayb matviews ref')).toEqual(['refresh'])
  })

  it.runIf(shell !== 'bash')('shows summaries', () => {
    expect(complete('ayb matviews l')).toEqual({
      list: 'List the registered views: mode, last refresh, next run',
    })
    expect(complete('ayb matviews register --mo')).toEqual({
      '--mode':
        'Whether refreshes block readers (standard) or not (concurrent; needs a unique index); auto: concurrent where that works',
    })
  })
})

describe('ayb completion', () => {
  it.each(['bash', 'zsh', 'fish'])('answers the script for %s as a document too', async (shell) => {
    const {code, json} = await ayb(['completion', shell, '--json'])
    expect({code, document: json()}).toEqual({
      code: 0,
      document: {shell, script: (await scriptOf(shell)).trimEnd(), warnings: []},
    })
  })

  it.each([
    ['/usr/bin/zsh', 'for yours: ayb completion zsh'],
    ['/bin/tcsh', 'for example: ayb completion bash'],
  ])('names the shells when none is given, in %s', async (SHELL, hint) => {
    const {code, json} = await ayb(['completion', '--json'], {env: {SHELL}})
    const message = 'ayb completion needs a shell: bash, zsh, fish'
    expect({code, document: json()}).toMatchObject({
      code: 2,
      document: {error: {code: 'INVALID_ARGUMENT', message, hint}},
    })
  })

  it('names the shells when it is given another', async () => {
    const {code, stderr} = await ayb(['completion', 'tcsh'])
    expect({code, stderr}).toEqual({code: 2, stderr: expect.stringContaining('bash, zsh, fish')})
  })
})

describe('bash', () => {
  let script: string
  beforeAll(async () => {
    script = save('ayb.bash', await scriptOf('bash'))
  })
  const register = ['ayb', 'matviews', 'register']

  it.each([
    ['split at =', [...register, '--mode', '=', 'c'], ['concurrent']],
    ['split at =, without a value yet', [...register, '--mode', '='], ['auto', 'standard', 'concurrent']],
    ['in one word, as bash 3.2 has it', [...register, '--mode=c'], ['concurrent']],
  ])('completes --mode=c, %s', (_, words, expected) => {
    expect(bashReply(script, words).trim().split('\n')).toEqual(expected)
  })

  it('completes --mode=c as a whole where = does not end a word', () => {
    expect(bashReply(script, [...register, '--mode=c'], ' \t\n')).toBe('--mode=concurrent\n')
  })

  it('takes a URL that was split at its colons for one value', () => {
    const url = ['--database-url', 'postgres', ':', '//u', ':', 'p@host', ':', '5432/db']
    expect(bashReply(script, ['ayb', 'completion', ...url, 'f'])).toBe('fish\n')
  })

  it('offers no flags after --', () => {
    expect(bashReply(script, ['ayb', 'matviews', 'show', '--', '--'])).toBe('')
    expect(bashReply(script, ['ayb', 'completion', '--', 'f'])).toBe('fish\n')
  })
})

it('is found by zsh in a folder of fpath', async () => {
  save('_ayb', await scriptOf('zsh'))
  const complete = completeInZsh('fpath', `fpath=(${folder} $fpath)\ncompinit -D -u`)
  expect(Object.keys(complete('ayb matviews ref'))).toEqual(['refresh'])
})

it('says in zsh what is missing without compinit', async () => {
  const script = save('ayb.zsh', await scriptOf('zsh'))
  expect(run('zsh', ['-f', '-c', 'source $1 2>&1', 'zsh', script])).toContain('compinit')
})

describe('names of a database', () => {
  /** Answers at once, however busy the machine is. */
  const PROGRAM = `#!/bin/sh
echo "$@" >> '${join(folder, 'calls')}'
case $2 in
  views) printf '%s\\tstandard\\n' 'public."colon:name"' 'public."two words"' public.leaderboard ;;
  unregistered) printf 'public.unregistered\\tnot registered\\n' ;;
  schedules) printf 'nightly\\t0 3 * * *\\n' ;;
  jobs) printf '0b5f\\tfailed\\n' ;;
esac
`
  beforeAll(() => {
    mkdirSync(join(folder, 'bin'))
    writeFileSync(join(folder, 'bin', 'ayb'), PROGRAM, {mode: 0o755})
  })
  afterAll(() => rmSync(join(folder, 'bin'), {recursive: true}))

  it.each(WAYS)('are completed in %s', async (shell, load) => {
    const complete = await load()
    const words = (line: string) =>
      Object.keys(complete(line))
        .map((word) => word.replaceAll('\\', ''))
        .sort()
    expect(words('ayb matviews show ')).toEqual([
      ...['public."colon:name"', 'public."two words"', 'public.leaderboard'],
    ])
    expect(words('ayb show public.l')).toEqual(['public.leaderboard'])
    expect(words('ayb refresh public.leaderboard public.l')).toEqual(['public.leaderboard'])
    expect(words('ayb matviews register public.')).toEqual(['public.unregistered'])
    expect(words('ayb jobs list --view public.l')).toEqual(['public.leaderboard'])
    // What a flag takes is no argument.
    expect(words('ayb matviews show --service shop public.l')).toEqual(['public.leaderboard'])
    expect(words('ayb schedules run --service=shop n')).toEqual(['nightly'])
    expect(readFileSync(join(folder, 'calls'), 'utf8')).toMatch(/^complete schedules -- .*--service=shop/m)
    expect(complete('ayb jobs show ')).toEqual({'0b5f': shell === 'bash' ? '' : 'failed'})
    rmSync(join(folder, 'bin', 'ayb'))
    expect(words('ayb matviews show public.')).toEqual([])
    writeFileSync(join(folder, 'bin', 'ayb'), PROGRAM, {mode: 0o755})
  })
})

describe('ayb complete', {timeout: 90_000}, () => {
  it('prints names with a note, from the database that the line names', async () => {
    const db = await createTestDatabase({hasTables: true})
    await register(db, 'leaderboard')
    await db.query('create materialized view "two words" as select 1 as one')
    await insertSchedule(db, 'nightly', {view: 'leaderboard', cron: '0 3 * * *'})
    const id = await insertJob(db, {view_name: 'leaderboard'}, {state: 'failed'})
    const printed: Record<string, string> = {
      views: 'public.leaderboard\tstandard\n',
      unregistered: 'public."two words"\tnot registered\n',
      schedules: 'nightly\t0 3 * * *\n',
      jobs: `${id}\tfailed, public.leaderboard\n`,
    }
    for (const [kind, expected] of Object.entries(printed)) {
      const line = ['complete', kind, '--', 'show', '--database-url', db.url, '']
      // On a busy machine, 300 ms are not always enough.
      await until(async () => (await ayb(line)).stdout === expected, {what: kind, timeoutMs: 30_000})
    }
  })

  it.each([
    [['complete', 'views', '--', 'show'], 'postgres://nobody@127.0.0.1:1/nothing'],
    [['complete', 'nothing', '--'], undefined],
    [['complete'], undefined],
  ])('says nothing where it fails: %j', async (line, url) => {
    expect(await ayb(line, url === undefined ? {} : {url})).toMatchObject({code: 0, stdout: '', stderr: ''})
  })

  it('gives up without a word, and soon, where the server is silent', async () => {
    const silent = createServer()
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
    const {port} = silent.address() as AddressInfo
    const heldMs = new Promise<number>((resolve) =>
      silent.on('connection', (socket) => {
        const openedAt = performance.now()
        socket.on('close', () => resolve(performance.now() - openedAt)).resume()
      }),
    )
    const result = await ayb(['complete', 'views', '--'], {url: `postgres://me@127.0.0.1:${port}/db`})
    expect(result).toMatchObject({code: 0, stdout: '', stderr: ''})
    // The rest is the end of a process on a busy machine; a connection may take ten seconds.
    expect(await heldMs).toBeLessThan(2000)
    silent.close()
  })
})

describe('a script with awkward texts', () => {
  const summary = `It's "a" [b]: c $(touch ran) \\d \`touch ran\` {e,f} *~ #!; 100%`
  const values = ['a:b', "o'clock", '$(touch ran)', 'two words', 'back\\slash']
  const flag: FlagSyntax = {
    names: ['--odd', '-o'],
    summary,
    takesValue: true,
    values,
    kind: null,
    isRepeatable: true,
  }
  const plain: FlagSyntax = {...flag, names: ['--plain'], takesValue: false, values: []}
  const command: CommandNode = {path: ['run'], summary, children: [], flags: [flag, plain], args: []}
  const root: CommandNode = {path: [], summary: '', children: [command], flags: [], args: []}

  it.each<[string, Complete]>([
    ['bash', completeInBash(save('prog.bash', bashScript('prog', root)))],
    ['fish', completeInFish(save('prog.fish', fishScript('prog', root)))],
    ['zsh', completeInZsh('awkward', `source ${save('prog.zsh', zshScript('prog', root))}`)],
  ])('shows them as they are and runs nothing in %s', (shell, complete) => {
    const shown = shell === 'bash' ? '' : summary
    expect(complete('prog ')).toEqual({run: shown})
    expect(complete('prog run --pl')).toEqual({'--plain': shown})
    const offered = Object.keys(complete('prog run --odd '))
    // zsh notes them as the line gets them, with backslashes.
    const words = shell === 'zsh' ? offered.map((word) => word.replaceAll(/\\(.)/g, '$1')) : offered
    expect(words.sort()).toEqual([...values].sort())
    expect(existsSync(join(folder, 'ran'))).toBe(false)
  })
})
