import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { Notifier } from './notify.ts'

const test = suite('daemon/notify')

test('the service manager gets what sd_notify(3) says, one message a datagram', () => {
  const sent: string[] = []
  const notifier = new Notifier((text) => sent.push(text), '60000000')
  notifier.ready('ready, revision 7')
  notifier.status('two\nlines')
  notifier.reloading(12_345n)
  notifier.alive()
  notifier.stopping()
  assert.equal(sent, [
    'READY=1\nSTATUS=ready, revision 7',
    'STATUS=two lines',
    'RELOADING=1\nMONOTONIC_USEC=12345',
    'WATCHDOG=1',
    'STOPPING=1',
  ])
  assert.is(notifier.watchdogMs, 60_000)
})

for (const usec of [undefined, '', '0', '-1', '1.5', 'soon']) {
  test(`WATCHDOG_USEC ${usec} is no watchdog`, () => assert.is(new Notifier(() => {}, usec).watchdogMs, undefined))
}

test('without a service manager nothing is sent and nothing is watched', () => {
  const notifier = new Notifier(undefined, '60000000')
  notifier.ready('ready')
  assert.is(notifier.watchdogMs, undefined)
})

test.run()
