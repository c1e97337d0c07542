import {writeFileSync} from 'node:fs'
import {generateManifest, MANIFEST_FILE, PACKAGE_ROOT} from './manifest.ts'

writeFileSync(MANIFEST_FILE, await generateManifest(PACKAGE_ROOT))
