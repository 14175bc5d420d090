import type { Block } from '../model/ipam-block.ts'
import { parseKey } from '../model/keys.ts'
import type { Cidr } from '../net/cidr.ts'
import type { Ip } from '../net/ip.ts'

/** Who says that he uses an address: a workload endpoint, or a Node by one of its tunnel addresses. */
export interface AddressUser {
  readonly ip: Ip
  /** `Workload(<namespace>/<name>)` or `Node(<name>)`, as calicoctl says it. */
  readonly name: string
  readonly node: string | undefined
}

/** A claim of a block as it stands in the store. */
export interface SurveyedAffinity {
  readonly host: string
  readonly cidr: Cidr
  readonly state: string
  readonly revision: number
}

/** A handle as it stands in the store. */
export interface SurveyedHandle {
  readonly blocks: ReadonlyMap<Cidr, number>
  readonly revision: number
}

/** All that a check looks at, and nothing of where it came from. */
export interface IpamSurvey {
  /** The revision of the store that it shows. */
  readonly revision: number
  readonly takenAt: Date
  /** How long a released address is not given out again. */
  readonly cooldownSeconds: number
  readonly blocks: ReadonlyMap<Cidr, Block>
  /** Undefined: not looked at, so nothing is said of them. */
  readonly affinities?: readonly SurveyedAffinity[]
  /** By id. Undefined: not looked at. */
  readonly handles?: ReadonlyMap<string, SurveyedHandle>
  /** The hosts that have a Node, also one that does not parse. */
  readonly nodes: ReadonlySet<string>
  /** The hosts whose daemon says under `live/<node>` that it runs. */
  readonly alive: ReadonlySet<string>
  readonly users: readonly AddressUser[]
  /** Hosts of which something can't be read that may use an address: nothing that is theirs counts as leaked. */
  isObscure(node: string): boolean
  readonly pools: readonly { readonly name: string; readonly cidr: Cidr }[]
  /** Values that do not parse. */
  readonly unreadable: readonly { readonly key: string; readonly reason: string }[]
}

/** Whether the host has neither a Node nor a daemon that runs. One that merely is offline has its Node. */
export function isGone({ nodes, alive }: Pick<IpamSurvey, 'nodes' | 'alive'>, node: string): boolean {
  return !nodes.has(node) && !alive.has(node)
}

/** The blocks that are there and can't be read: of what they hold nothing is known. */
export function unreadableBlocks({ unreadable }: IpamSurvey): ReadonlySet<Cidr> {
  const parsed = unreadable.map(({ key }) => parseKey(key))
  return new Set(parsed.flatMap((record) => (record?.kind === 'IPAMBlock' ? [record.id as Cidr] : [])))
}
