import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { run, tryRun, until } from '../../scripts/lab/command.ts'
import { untilStatus } from '../../scripts/lab/daemon.ts'
import type { Lab } from '../../scripts/lab/lab.ts'
import { addressOf, untilReached } from '../support/fault.ts'
import { succeeded, withLab } from '../support/scenario.ts'

const test = suite('lab/host-endpoints')

/** Names of all host endpoints. */
async function hostEndpoints(lab: Lab): Promise<readonly string[]> {
  const text = succeeded(await lab.daemon('h1').margay(['get', 'hostendpoint', '-o', 'json']))
  const { items } = JSON.parse(text) as { readonly items: readonly { readonly metadata: { readonly name: string } }[] }
  return items.map(({ metadata }) => metadata.name).sort()
}

async function untilEndpoints(lab: Lab, ...want: readonly string[]): Promise<void> {
  const wait = { what: `host endpoints ${want.join(', ')}`, deadlineMs: 15_000, everyMs: 50 }
  await until(wait, async () => (JSON.stringify(await hostEndpoints(lab)) === JSON.stringify(want) ? true : undefined))
}

function autoCreate(value: 'Enabled' | 'Disabled'): string {
  return JSON.stringify({ spec: { controllers: { node: { hostEndpoint: { autoCreate: value } } } } })
}

test('automatic host endpoints come, change nothing, open failsafes are named, and go with their host or the wish for them', async () => {
  await withLab({ hosts: [0, 0], etcd: 'plain', mode: 'vxlan' }, async (lab) => {
    const daemon = lab.daemon('h1')
    const patch = async (value: 'Enabled' | 'Disabled') =>
      succeeded(await daemon.margay(['patch', 'kubecontrollersconfiguration', 'default', '--patch', autoCreate(value)]))
    const pair = [await lab.addWorkload('h1', 'w1'), await lab.addWorkload('h2', 'w2')] as const
    await patch('Enabled')
    await untilEndpoints(lab, 'h1-auto-hep', 'h2-auto-hep')
    await untilStatus(daemon, 'open failsafes', ({ openFailsafes }) => openFailsafes?.inbound.includes('tcp 22') === true)
    for (const family of [4, 6] as const) await untilReached(pair[0], pair[1], family)
    // A port where nobody listens: the kernel refuses, so that it was let in.
    const { stderr } = await tryRun(lab.daemon('h2').host, ['timeout', '2', 'bash', '-c', `exec 3<>/dev/tcp/${daemon.host.ipv4}/81`])
    assert.match(stderr, /Connection refused/)
    await lab.daemon('h2').stop()
    succeeded(await daemon.margay(['delete', 'node', 'h2', '--force']))
    await untilEndpoints(lab, 'h1-auto-hep')
    await patch('Disabled')
    await untilEndpoints(lab)
  })
})

test('a workload can send in no other name, over IPv4 and IPv6, and has the MAC that its record says', async () => {
  await withLab({ hosts: [0], etcd: 'plain', mode: 'vxlan' }, async (lab) => {
    const { host } = lab.daemon('h1')
    const [forger, other] = [await lab.addWorkload('h1', 'w1'), await lab.addWorkload('h1', 'w2')]
    for (const family of [4, 6] as const) await untilReached(forger, other, family)
    const dropped = async () => {
      const text = await run(host, ['nft', 'list', 'chain', 'inet', 'margay', 'workload-sender-exceptions'])
      return Number(/counter packets (\d+)/.exec(text)?.[1])
    }
    const rises = async (what: string, send: () => Promise<unknown>) => {
      const before = await dropped()
      await send()
      await until({ what, deadlineMs: 3000, everyMs: 20 }, async () => ((await dropped()) > before ? true : undefined))
    }
    for (const [family, forged] of [
      [4, '10.65.9.9'],
      [6, 'fd65::9:9'],
    ] as const) {
      const length = family === 4 ? 32 : 128
      await run(forger.namespace, ['ip', 'addr', 'add', `${forged}/${length}`, 'dev', 'lo'])
      const ping = ['ping', '-c', '1', '-W', '1', '-I', forged, addressOf(other, family)]
      const send = () => tryRun(forger.namespace, ping)
      // Over IPv4 the kernel's own check of sources comes later: the packet is counted here first.
      await rises(`a packet from ${forged} to be dropped`, send)
    }
    const mac = JSON.parse(await run(forger.namespace, ['ip', '-j', 'link', 'show', 'eth0']))[0].address as string
    const text = succeeded(await lab.daemon('h1').margay(['get', 'workloadendpoint', '-A', '-o', 'json']))
    const { items } = JSON.parse(text) as { readonly items: readonly { readonly spec: { readonly mac?: string } }[] }
    assert.ok(items.some(({ spec }) => spec.mac === mac))
    await run(forger.namespace, ['ip', 'link', 'set', 'eth0', 'address', '02:00:00:00:00:99'])
    const checks = async () => {
      const chain = await run(host, ['nft', 'list', 'chain', 'inet', 'margay', 'workload-senders'])
      return Number(/counter packets (\d+)/.exec(chain)?.[1])
    }
    const before = await checks()
    await tryRun(forger.namespace, ['ping', '-c', '1', '-W', '1', addressOf(other, 4)])
    await until({ what: 'a packet from another MAC to be dropped', deadlineMs: 3000, everyMs: 20 }, async () =>
      (await checks()) > before ? true : undefined,
    )
  })
})

test.run()
