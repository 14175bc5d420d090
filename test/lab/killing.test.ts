// runs alone
// at most 240 s
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Lab } from '../../scripts/lab/lab.ts'
import { readAddresses } from '../../scripts/lab/workload.ts'
import type { WorkloadReport } from '../../src/model/own/api.ts'
import { addressOf, IS_LONG, untilReached } from '../support/fault.ts'
import { succeeded, withLab } from '../support/scenario.ts'

const test = suite('lab/killing')
const ROUNDS = IS_LONG ? 60 : 8

/** Different moments, the same in each run: some before the request arrives, some in the middle, some after it is done. */
const MOMENTS_MS = [0, 3, 7, 12, 20, 35, 60, 100, 160, 250]

test('a daemon that is killed at any moment of attaching leaves nothing that it cannot finish or take back', async () => {
  await withLab({ hosts: [0, 1], etcd: 'plain', mode: 'vxlan' }, async (lab) => {
    const [daemon, far] = [lab.daemon('h1'), await lab.addWorkload('h2', 'far')]
    const before = await usedAddresses(lab)
    const names = Array.from({ length: ROUNDS }, (_, round) => `k${round}`)
    for (const [round, name] of names.entries()) {
      const namespace = await lab.topology.addNamespace(name)
      const body = { name, namespace: 'default', netns: namespace.path }
      const asked = daemon.post<WorkloadReport>('/v1/workloads', body).catch((error: Error) => error)
      await moment(MOMENTS_MS[round % MOMENTS_MS.length] ?? 0)
      await daemon.stop('SIGKILL')
      await asked
      await daemon.start()
      const again = await attachAgain(lab, body)
      assert.equal(again, (await readAddresses(namespace)).sort(), `${name} has in its namespace what the daemon says`)
      await untilReached({ name, daemon, namespace, addresses: again }, far)
    }
    const used = await usedAddresses(lab)
    assert.is(new Set(used).size, used.length, 'no address is held twice')
    for (const name of names) succeeded(await daemon.margay(['workload', 'rm', name]))
    assert.equal(await usedAddresses(lab), before, 'every address is free again')
    assert.ok(addressOf(far) !== '')
  })
})

test.run()

/** Asks again, as a person would: attached it is already, or now. */
async function attachAgain(
  lab: Lab,
  body: { readonly name: string; readonly namespace: string; readonly netns: string },
): Promise<string[]> {
  const daemon = lab.daemon('h1')
  const { addresses } = await daemon
    .post<WorkloadReport>('/v1/workloads', body)
    .catch(() => daemon.get<WorkloadReport>(`/v1/workloads/${body.namespace}/${body.name}`))
  return addresses.map((address) => address.split('/')[0] ?? '').sort()
}

/** Every address that some handle holds, from the blocks themselves. */
async function usedAddresses(lab: Lab): Promise<string[]> {
  const text = await lab.etcd.control(['get', '/calico/ipam/v2/assignment/', '--prefix', '--print-value-only'])
  const blocks = text
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as { cidr: string; allocations: (number | null)[] })
  return blocks
    .flatMap(({ cidr, allocations }) => allocations.flatMap((holder, ordinal) => (holder === null ? [] : [`${cidr} ${ordinal}`])))
    .sort()
}

/** The moment is what is varied. */
function moment(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
