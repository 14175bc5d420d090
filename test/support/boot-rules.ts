import { BootRules, bootRulesPath } from '../../src/daemon/boot-rules.ts'
import { keyOf, type NftObject } from '../../src/kernel/objects.ts'
import { silentLogger } from '../../src/log.ts'
import { PolicyEngine, type PolicyHost } from '../../src/policy/engine.ts'
import { DEFAULT_FAILSAFES } from '../../src/policy/failsafes.ts'
import { TestView } from './planning.ts'
import { aGlobalPolicy, aHostEndpoint } from './policies.ts'

/** The rule set of a host of which eth0 is a host endpoint, with a policy that lets UDP packets to one port in. */
export function rulesOf(port: number): readonly NftObject[] {
  const settings: PolicyHost['settings'] = {
    ...{ workloadInterfaces: ['mgy*'], endpointToHost: 'Drop', failsafes: DEFAULT_FAILSAFES, dropsInvalid: true },
    ...{ implicit: [], tunnels: [], markBit: 0x1000_0000 },
    deny: 'drop',
  }
  const engine = new PolicyEngine({ node: 'h1', interfaces: [{ name: 'eth0', addresses: [] }], settings })
  const ingress = [{ action: 'Allow' as const, protocol: 'UDP' as const, destination: { ports: [port] } }]
  engine.set('GlobalNetworkPolicy', 'p', aGlobalPolicy('p', { selector: 'all()', types: ['Ingress'], ingress }))
  engine.set('HostEndpoint', 'eth0', aHostEndpoint('eth0', { interfaceName: 'eth0' }))
  const steps = engine.flush()
  for (;;) {
    if (steps.next().done) return [...engine.objects.values()]
  }
}

/** Objects as a table has them. */
export function byKey(objects: readonly NftObject[]): ReadonlyMap<string, NftObject> {
  return new Map(objects.map((object) => [keyOf.policy(object), object]))
}

/** What a host that boots loads: the file as the daemon's last run has left it in this folder. Gives its path. */
export async function writeBootRules(folder: string, objects: readonly NftObject[]): Promise<string> {
  const rules = new BootRules(folder, 'h1', silentLogger)
  const view = new TestView().set('HostEndpoint', 'eth0', aHostEndpoint('eth0', { interfaceName: 'eth0' }))
  rules.note(view, [], { objects: byKey(objects), revision: 1 })
  await rules.flush()
  return bootRulesPath(folder)
}
