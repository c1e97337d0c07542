import {registrations} from './0001-registrations.ts'
import type {Migration} from './migration.ts'

/** Every migration, oldest first. */
export const MIGRATIONS: readonly Migration[] = [registrations]
