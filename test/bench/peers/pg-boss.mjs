import {refreshAlone} from './drain.mjs'
import {drainWithPgBoss} from './drain-pg-boss.mjs'

await drainWithPgBoss(refreshAlone)
