import {createContext} from 'preact'
import {useContext} from 'preact/hooks'

/** Whether the token of this page may change something. */
export const AccessContext = createContext(true)

export const useMayChange = (): boolean => useContext(AccessContext)
