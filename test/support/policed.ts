import { until } from '../../scripts/lab/command.ts'
import type { LabDaemon } from '../../scripts/lab/daemon.ts'
import { succeeded } from './scenario.ts'
import { connection, type End, type Passage } from './traffic.ts'

/** So long all hosts have; a machine that does much else at once needs most of it. Seconds. */
const WAIT_S = '25'

/** The states of some ports, of several addresses: those that differ between them are an error. */
export async function portStates(from: End, addresses: readonly string[], ...ports: readonly number[]) {
  const look = async (port: number) => {
    const states = new Set(await Promise.all(addresses.map((address) => connection(from, address, port))))
    return [port, [...states].join(' and ')] as const
  }
  return Object.fromEntries(await Promise.all(ports.map(look)))
}

/** Waits until a port is as it should be. */
export async function untilPort(from: End, address: string, port: number, state: Passage, deadlineMs = 15_000): Promise<void> {
  const wait = { what: `${address} port ${port} to be ${state}`, deadlineMs, everyMs: 10 }
  await until(wait, async () => ((await connection(from, address, port)) === state ? true : undefined))
}

/** Applies documents (JSON, one an argument), and waits until all hosts have applied them. */
export async function apply(daemon: LabDaemon, ...documents: readonly object[]): Promise<void> {
  const text = documents.map((one) => JSON.stringify({ apiVersion: 'projectcalico.org/v3', ...one })).join('\n---\n')
  succeeded(await daemon.margay(['apply', '-f', '-', '--wait', WAIT_S], text))
}

/** Deletes resources by kind and name, and waits until all hosts have applied it. */
export async function remove(daemon: LabDaemon, kind: string, name: string): Promise<void> {
  succeeded(await daemon.margay(['delete', kind, name, '--wait', WAIT_S]))
}

export function globalPolicy(name: string, spec: object): object {
  return { kind: 'GlobalNetworkPolicy', metadata: { name }, spec }
}

export function hostEndpoint(name: string, spec: object): object {
  return { kind: 'HostEndpoint', metadata: { name, labels: { host: 'yes' } }, spec: { node: 'h1', ...spec } }
}

/** A policy of a namespace, by `<namespace>/<name>`. */
export function policy(id: string, spec: object): object {
  const [namespace, name] = id.split('/')
  return { kind: 'NetworkPolicy', metadata: { name, namespace }, spec }
}

/** Applies documents, looks, and takes them away again. */
export async function under<T>(daemon: LabDaemon, documents: readonly object[], look: () => Promise<T>): Promise<T> {
  if (documents.length === 0) return look()
  await apply(daemon, ...documents)
  const found = await look()
  // Policies go before their tiers.
  const text = documents.toReversed().map((one) => JSON.stringify({ apiVersion: 'projectcalico.org/v3', ...one }))
  succeeded(await daemon.margay(['delete', '-f', '-'], text.join('\n---\n')))
  return found
}

/** Changes the endpoint of a workload as an administrator does. */
export async function patchEndpoint(daemon: LabDaemon, workload: string, spec: object): Promise<void> {
  const list = JSON.parse(succeeded(await daemon.margay(['get', 'workloadendpoints', '-o', 'json']))) as {
    readonly items: readonly { readonly metadata: { readonly name: string }; readonly spec: { readonly workload?: string } }[]
  }
  const name = list.items.find((one) => one.spec.workload === workload)?.metadata.name ?? ''
  succeeded(await daemon.margay(['patch', 'workloadendpoint', name, '-p', JSON.stringify({ spec }), '--wait', WAIT_S]))
}
