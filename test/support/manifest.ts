import {dirname, join} from 'node:path'
import {fileURLToPath} from 'node:url'
import {type Interfaces, Plugin} from '@oclif/core'

/** The package that is under test. */
export const PACKAGE_ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))))

export const MANIFEST_FILE = join(PACKAGE_ROOT, 'oclif.manifest.json')

/** The manifest as the commands in dist/ have it now, whatever the file says. */
export async function generateManifest(root: string): Promise<string> {
  const plugin = new Plugin({
    root,
    ignoreManifest: true,
    errorOnManifestCreate: true,
    respectNoCacheDefault: true,
  })
  await plugin.load()
  // oclif lists the commands as the file system does, which differs from one to the next.
  const commands = Object.entries(plugin.manifest.commands).toSorted(([a], [b]) => (a < b ? -1 : 1))
  const manifest: Interfaces.Manifest = {...plugin.manifest, commands: Object.fromEntries(commands)}
  return `${JSON.stringify(manifest, null, 2)}\n`
}
