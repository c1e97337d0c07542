import {refreshAlone} from './drain.mjs'
import {drainWithGraphileWorker} from './drain-graphile-worker.mjs'

await drainWithGraphileWorker(refreshAlone)
