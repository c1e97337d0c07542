import {randomUUID} from 'node:crypto'
import {BaseCommand} from '../../cli/base-command.ts'
import {notifyTargets} from '../../cli/notify-settings.ts'
import {testNotice} from '../../core/notices/documents.ts'
import {invalidArgument} from '../../lib/errors.ts'
import type {NotifyTest as TestDocument} from '../../lib/records/notices.ts'

export default class NotifyTest extends BaseCommand {
  static override summary = 'Send a test notice to all targets, and show how they answer.'
  static override description =
    'Needs no database. The targets are in the environment: AYB_NOTIFY_URL (with AYB_NOTIFY_SECRET and AYB_NOTIFY_FORMAT) and AYB_NOTIFY_COMMAND. The type of the notice is notify.test. Exits with 1 unless all targets take it. See ayb help alerts.'
  static override examples = [
    'AYB_NOTIFY_URL=https://hooks.example.com/ayb <%= config.bin %> <%= command.id %>',
    'AYB_NOTIFY_COMMAND=/usr/local/bin/page-me <%= config.bin %> <%= command.id %> --json',
  ]

  async run(): Promise<TestDocument> {
    await this.parse(NotifyTest)
    const targets = notifyTargets(process.env)
    if (targets === null) {
      throw invalidArgument(
        'there is nowhere to send notices to',
        'set AYB_NOTIFY_URL or AYB_NOTIFY_COMMAND as for ayb worker',
      )
    }
    const {deliverNotice} = await import('../../observe/notices/deliver.ts')
    const notice = {id: randomUUID(), body: JSON.stringify(testNotice(new Date())), delivered: []}
    const deliveries = await this.waitingFor('Waiting for the targets to answer', () =>
      deliverNotice(targets, notice, this.signal),
    )
    this.signal.throwIfAborted()
    if (deliveries.some(({ok}) => !ok)) process.exitCode = 1
    await this.show(async ({terminal}) => {
      const {renderDeliveries} = await import('../../render/deliveries.ts')
      return renderDeliveries(deliveries, terminal)
    })
    return {deliveries, warnings: []}
  }
}
