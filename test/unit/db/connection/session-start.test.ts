import {Socket} from 'node:net'
import {expect, it} from 'vitest'
import {startSession} from '../../../../src/db/connection/session-start.ts'

type Start = Parameters<typeof startSession>[1]

it('fails with the error that ended the stream before', async () => {
  const stream = new Socket()
  const alert = new Error('certificate required')
  await new Promise((resolve) =>
    stream
      .on('error', () => {})
      .once('close', resolve)
      .destroy(alert),
  )
  await expect(startSession(stream, {} as Start, new AbortController().signal)).rejects.toBe(alert)
})
