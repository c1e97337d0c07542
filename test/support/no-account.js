// For node --import: a process whose user id has no entry in the passwd database, as in containers.
import {syncBuiltinESMExports} from 'node:module'
import os from 'node:os'

const absent = (call) => () => {
  throw Object.assign(
    new Error(`A system error occurred: ${call} returned ENOENT (no such file or directory)`),
    {
      code: 'ERR_SYSTEM_ERROR',
    },
  )
}

os.userInfo = absent('uv_os_get_passwd')
const {homedir} = os
// libuv asks HOME first.
os.homedir = () => (process.env.HOME === undefined ? absent('uv_os_homedir')() : homedir())
syncBuiltinESMExports()
