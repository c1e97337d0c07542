import {serverCheck} from '../check.ts'

/** The first release of each version with what was done about CVE-2024-0985. */
const FIXED_IN = new Map([
  [14, 11],
  [15, 6],
  [16, 2],
])

/** Older versions can be attacked. For this version and newer ones, no attack is known. */
const SAFE_SINCE = 16

/** The server lacks the mend of a known fault of REFRESH. */
export const oldRelease = serverCheck('old-release', ({serverVersion}) => {
  const [version, release] = [Math.floor(serverVersion / 10_000), serverVersion % 10_000]
  const fixedIn = FIXED_IN.get(version)
  if (fixedIn === undefined || release >= fixedIn) return null
  if (version >= SAFE_SINCE) {
    return {
      severity: 'info',
      message: `PostgreSQL ${version}.${release} lacks a safeguard for concurrent refreshes (CVE-2024-0985), though no attack is known for this version; upgrade to ${version}.${fixedIn} or newer`,
    }
  }
  return {
    severity: 'warning',
    message: `PostgreSQL ${version}.${release} has a known fault: the owner of a view can run code as whoever refreshes it concurrently (CVE-2024-0985); upgrade to ${version}.${fixedIn} or newer`,
  }
})
