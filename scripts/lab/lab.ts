import { mkdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ConfigFile, daemonOf, type LabDaemon } from './daemon.ts'
import { prepareEmbedded } from './embedded.ts'
import { type LabEtcd, plainEtcd, startEtcd } from './etcd.ts'
import { buildTopology, type Topology, type TopologySpec } from './topology.ts'
import { addWorkload, type LabWorkload } from './workload.ts'

/** The pools of a lab, unless its configuration says otherwise. */
export const POOLS = { 4: '10.65.0.0/16', 6: 'fd65::/48' } as const

/** A whole margay network on one machine. */
export interface LabSpec extends TopologySpec {
  /**
   * `plain`: an etcd beside the router, fast, without TLS, at once ready. `embedded`: the first host's own, with certificates,
   * as a person would set it up.
   */
  readonly etcd: 'plain' | 'embedded'
  readonly mode?: string
  /** Laid over the configuration of every host, group by group; `pools` replaces the lab's. */
  readonly config?: ConfigFile
}

/** A lab that runs. */
export interface Lab {
  readonly topology: Topology
  readonly folder: string
  readonly etcd: LabEtcd
  readonly daemons: readonly LabDaemon[]
  /** The daemon of host `h1`, `h2`, … */
  daemon(host: string): LabDaemon
  addWorkload(host: string, name: string, args?: readonly string[]): Promise<LabWorkload>
  close(): Promise<void>
}

/** Builds network, etcd and configurations; no daemon runs yet. */
export async function openLab(spec: LabSpec): Promise<Lab> {
  const topology = await buildTopology(spec)
  const folder = join(tmpdir(), `${topology.prefix}lab`)
  mkdirSync(folder, { recursive: true })
  try {
    const { etcd, configs } = spec.etcd === 'plain' ? await withPlainEtcd(topology, folder) : await prepareEmbedded(topology, folder)
    const daemons = topology.hosts.map((host, index) => daemonOf(host, configOf(host.host, configs[index] ?? {}, spec)))
    return labOf({ topology, folder, etcd, daemons })
  } catch (error) {
    await topology.close()
    throw error
  }
}

/** Opens a lab, starts all daemons at once, and closes the lab if that fails. */
export async function startLab(spec: LabSpec): Promise<Lab> {
  const lab = await openLab(spec)
  try {
    await Promise.all(lab.daemons.map((daemon) => daemon.start()))
    return lab
  } catch (error) {
    await lab.close()
    throw error
  }
}

/** Lays one configuration over another, group by group; lists and values replace. */
export function overlay(base: ConfigFile, over: ConfigFile): ConfigFile {
  const merged: Record<string, unknown> = { ...base }
  for (const [name, value] of Object.entries(over)) {
    const below = merged[name]
    merged[name] = isGroup(below) && isGroup(value) ? overlay(below, value) : value
  }
  return merged
}

function configOf(node: string, etcd: ConfigFile, spec: LabSpec): ConfigFile {
  const mode = spec.mode === undefined ? {} : { mode: spec.mode }
  const pools = { ipv4: { cidr: POOLS[4] }, ipv6: { cidr: POOLS[6] } }
  // Pools that are given replace those of the lab: with `create: false` a CIDR is refused.
  return overlay({ node: { name: node }, ...mode, etcd, ...(spec.config?.['pools'] === undefined ? { pools } : {}) }, spec.config ?? {})
}

function isGroup(value: unknown): value is ConfigFile {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

async function withPlainEtcd(topology: Topology, folder: string) {
  // The router's address in the first subnet.
  const etcd = await startEtcd(plainEtcd(topology.router, folder, '192.0.2.254'))
  return { etcd, configs: topology.hosts.map((): ConfigFile => ({ endpoints: [etcd.endpoint] })) }
}

function labOf(parts: { topology: Topology; folder: string; etcd: LabEtcd; daemons: readonly LabDaemon[] }): Lab {
  const daemon = (host: string) => {
    const found = parts.daemons.find((one) => one.host.host === host)
    if (found === undefined) throw new Error(`no host ${host} in this lab`)
    return found
  }
  return {
    ...parts,
    daemon,
    addWorkload: (host, name, args) => addWorkload(parts.topology, daemon(host), name, args),
    close: async () => {
      await parts.topology.close()
      for (const one of parts.daemons) one.close()
    },
  }
}
