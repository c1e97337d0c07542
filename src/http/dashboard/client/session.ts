const KEY = 'ayb-admin-token'

/** The token of this tab, gone with it. */
export const storedToken = (): string | null => sessionStorage.getItem(KEY)

/** Null signs out. */
export function storeToken(token: string | null): void {
  if (token === null) sessionStorage.removeItem(KEY)
  else sessionStorage.setItem(KEY, token)
}
