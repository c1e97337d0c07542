import {qualifiedName} from '../../lib/identifier.ts'
import {checkInput} from '../schedule-input.ts'
import {type DeclaredSchedule, readSchedule} from './schedules.ts'
import {attempt, readViewName, refuseKey} from './values.ts'
import {type DeclaredView, readViewKeys, type ViewDefaults, viewValues} from './views.ts'
import {type Entry, placeOf, YamlFile} from './yaml-file.ts'

/** The newest version of files that this program reads. */
export const FILE_VERSION = 1

/** What a file says. */
export interface DeclaredFile {
  views: DeclaredView[]
  schedules: DeclaredSchedule[]
}

const KEYS = ['version', 'defaults', 'views', 'schedules']
const START = {line: 1, column: 1}

/**
 * Reads a file of declarations, whole: all that is wrong with it is said at once. Needs no database.
 * @throws FileProblems
 */
export function readDeclarations(text: string): DeclaredFile {
  const file = new YamlFile(text)
  file.problems.throwAny()
  const declared = file.read(() => readRoot(file))
  file.problems.throwAny()
  return declared ?? {views: [], schedules: []}
}

function readRoot(file: YamlFile): DeclaredFile {
  const entries = new Map(file.entries(file.root, '', START).map((entry) => [entry.key, entry]))
  if (!readVersion(file, entries.get('version'))) return {views: [], schedules: []}
  for (const entry of entries.values()) if (!KEYS.includes(entry.key)) refuseKey(file, entry, KEYS)
  const defaults = entries.get('defaults')
  return {
    views: readViews(file, entries.get('views'), defaults && readViewKeys(file, defaults)),
    schedules: readSchedules(file, entries.get('schedules')),
  }
}

/** Whether the rest can be read: a newer version may mean anything by it. */
function readVersion(file: YamlFile, entry: Entry | undefined): boolean {
  const hint = `write version: ${FILE_VERSION} as the first line`
  if (!entry) {
    if (file.problems.isEmpty) file.problems.say(START, '', 'the file has no version', hint)
    return true
  }
  const value = file.value(entry)
  if (value === null || value.text === String(FILE_VERSION)) return true
  const isNewer = value.kind === 'number' && Number(value.text) > FILE_VERSION
  file.problems.say(
    entry.place,
    entry.path,
    isNewer
      ? `the file has version ${value.text.slice(0, 20)}, and this program reads version ${FILE_VERSION}`
      : `${JSON.stringify(value.text.slice(0, 20))} is not a version of such a file`,
    isNewer ? 'install a newer ayb' : hint,
  )
  return !isNewer
}

function readViews(
  file: YamlFile,
  section: Entry | undefined,
  defaults: ViewDefaults | undefined,
): DeclaredView[] {
  const views = new Map<string, DeclaredView>()
  for (const entry of section ? file.entries(section.value, section.path, section.place) : []) {
    const name = attempt(file, entry, () => readViewName(entry.key))
    const own = readViewKeys(file, entry)
    if (!name) continue
    const key = qualifiedName(name)
    const before = views.get(key)
    if (before) {
      file.problems.say(
        entry.place,
        entry.path,
        `this is ${key}, which line ${before.entry.place.line} describes`,
        'leave one of the two out',
      )
      continue
    }
    views.set(key, {
      ...name,
      values: viewValues(own.values, defaults?.values ?? {}),
      entry: placeOf(entry),
      entries: new Map([...(defaults?.entries ?? []), ...own.entries]),
    })
  }
  return [...views.values()]
}

function readSchedules(file: YamlFile, section: Entry | undefined): DeclaredSchedule[] {
  const schedules: DeclaredSchedule[] = []
  for (const entry of section ? file.entries(section.value, section.path, section.place) : []) {
    const name = attempt(file, entry, () => checkInput({name: entry.key}).name)
    const schedule = readSchedule(file, entry)
    if (name !== undefined && schedule) schedules.push(schedule)
  }
  return schedules
}
