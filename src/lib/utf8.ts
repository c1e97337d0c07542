import {invalidArgument} from './errors.ts'

/**
 * The text that bytes hold; `name` is what to call them. Without this check, other bytes would become U+FFFD,
 * and names would change.
 * @throws AybError INVALID_ARGUMENT
 */
export function decodeUtf8(bytes: Uint8Array, name: string): string {
  try {
    return new TextDecoder('utf-8', {fatal: true}).decode(bytes)
  } catch {
    throw invalidArgument(`${name} is not UTF-8`, 'save it as UTF-8')
  }
}
