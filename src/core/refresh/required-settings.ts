import type {Database} from '../../db/database.ts'
import {trySettings} from '../../db/refresh/postgres-settings.ts'
import {settingRefused} from '../../lib/failures/settings.ts'
import {changeSettings, type SettingChanges} from '../../lib/postgres-settings.ts'

/**
 * Has the server try the settings that somebody wants: a value that does not fit is refused at once, not with
 * the next refresh.
 * @throws AybError INVALID_ARGUMENT, PERMISSION_DENIED
 */
export async function requireSettings({session}: Database, changes: SettingChanges = {}): Promise<void> {
  const [refused] = await trySettings(session, changeSettings({}, changes))
  if (refused?.error) throw settingRefused(refused, refused.error)
}
