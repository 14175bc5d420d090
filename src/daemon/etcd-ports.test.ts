import { type AddressInfo, createServer } from 'node:net'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { refusal } from '../../test/support/daemon.ts'
import { checkEtcdPorts } from './etcd-ports.ts'

const test = suite('daemon/etcd-ports')

for (const address of ['127.0.0.1', '::1']) {
  test(`a port of ${address} that another program has is named, and one that is free is not`, async () => {
    const server = createServer()
    await new Promise<void>((resolve) => server.listen({ host: address, port: 0 }, resolve))
    const { port } = server.address() as AddressInfo
    const shown = address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
    const said = await refusal(checkEtcdPorts([`https://${shown}`]))
    await new Promise((resolve) => server.close(resolve))
    assert.is(said, `${shown}, where the embedded etcd shall listen, is taken by another program: ss -ltnp 'sport = :${port}' names it`)
    await checkEtcdPorts([`https://${shown}`])
  })
}

test('an address that this host does not have is left to etcd to say', async () => {
  await checkEtcdPorts(['https://192.0.2.77:23790'])
})

test.run()
