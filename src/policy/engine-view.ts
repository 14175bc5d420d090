import { familyOf, type Ip } from '../net/ip.ts'
import type { DispatchInput } from './dispatch.ts'
import type { ImplicitAllow, PolicedHost } from './evaluate-path.ts'
import type { ImplicitRule } from './implicit-rules.ts'
import type { Members } from './members.ts'
import type { LocalWorkload } from './ruleset.ts'

/** Tells whether an address is in a set of this name, of those that the engine's rules name and others keep (`hosts4`). */
export type IsPeer = (set: string, ip: Ip) => boolean

/** What the engine has made rules of. */
export interface EngineState extends Omit<DispatchInput, 'workloads'> {
  readonly workloads: readonly LocalWorkload[]
  readonly members: Members
  readonly isPeer: IsPeer
}

/** The engine's state as the evaluator takes it. */
export function policedHost({ settings, workloads, hostEndpoints, wildcard, members, isPeer }: EngineState): PolicedHost {
  const { endpointToHost, failsafes, dropsInvalid, workloadInterfaces, implicit, tunnels } = settings
  return {
    settings: {
      ...{ endpointToHost, failsafes, dropsInvalid, tunnels },
      isWorkloadInterface: (name) => workloadInterfaces.some((pattern) => fitsInterface(pattern, name)),
      implicit: implicit.map((rule) => implicitAllow(rule, isPeer)),
    },
    workloads: new Map(workloads.map(({ link, endpoint }) => [link, endpoint])),
    ...{ hostEndpoints, wildcard, members },
  }
}

/** Whether the name is the pattern, or begins as it does before its `*`. */
export function fitsInterface(pattern: string, name: string): boolean {
  return pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern
}

function implicitAllow({ peers, ...rule }: ImplicitRule, isPeer: IsPeer): ImplicitAllow {
  return { ...rule, isPeer: (ip) => peers.some(({ family, set }) => family === familyOf(ip) && isPeer(set, ip)) }
}
