import { run } from './command.ts'
import type { LabDaemon } from './daemon.ts'
import type { Namespace, Topology } from './topology.ts'

/** A workload: a network namespace that a host's daemon has joined to the network. */
export interface LabWorkload {
  readonly name: string
  readonly daemon: LabDaemon
  readonly namespace: Namespace
  readonly addresses: readonly string[]
}

/** Makes a network namespace and joins it with `margay workload add`, further arguments (`--ip`, `--label`, …) given. */
export async function addWorkload(topology: Topology, daemon: LabDaemon, name: string, args: readonly string[] = []): Promise<LabWorkload> {
  const namespace = await topology.addNamespace(name)
  const { code, stdout, stderr } = await daemon.margay(['workload', 'add', name, '--netns', namespace.path, ...args])
  if (code !== 0) throw new Error(`margay workload add ${name} ended with ${code}: ${(stderr || stdout).trim()}`)
  return { name, daemon, namespace, addresses: await readAddresses(namespace) }
}

/** The global addresses on a workload's own interfaces, without their lengths. */
export async function readAddresses(namespace: Namespace): Promise<string[]> {
  const links = JSON.parse(await run({ enter: [] }, ['ip', '-n', namespace.name, '-j', 'addr', 'show', 'scope', 'global'])) as readonly {
    readonly addr_info?: readonly { readonly local?: string }[]
  }[]
  return links.flatMap((link) => (link.addr_info ?? []).flatMap(({ local }) => (local === undefined ? [] : [local])))
}
