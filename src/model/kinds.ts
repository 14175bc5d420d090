import { BGP_KINDS, type BgpTypes } from './bgp-kinds.ts'
import type { Block } from './ipam-block.ts'
import type { KindFacts, KindInfos } from './kind-info.ts'
import { NETWORK_KINDS, type NetworkTypes } from './network-kinds.ts'
import type { LiveRecord } from './own/live.ts'
import { OWN_KINDS, type OwnTypes } from './own/own-kinds.ts'
import type { Trial } from './own/trial.ts'
import { POLICY_KINDS, type PolicyTypes } from './policy-kinds.ts'
import { SETTINGS_KINDS, type SettingsTypes } from './settings-kinds.ts'

/** The kinds that are resources: what people get, apply and delete. */
export interface ResourceTypes extends NetworkTypes, PolicyTypes, BgpTypes, SettingsTypes, OwnTypes {}

/** The name of a resource's kind. */
export type ResourceKind = keyof ResourceTypes

/** A resource of any kind; `kind` tells which. */
export type AnyResource = ResourceTypes[ResourceKind]

/** Everything that a host follows in the store, by kind. */
export interface ModelTypes extends ResourceTypes {
  readonly IPAMBlock: Block
  readonly Live: LiveRecord
  readonly Trial: Trial
}

/** The name of a kind that is followed. */
export type ModelKind = keyof ModelTypes

/** What is to be known of a kind. */
export type KindInfo<K extends ResourceKind = ResourceKind> = KindFacts<K, ResourceTypes[K]>

/** Every kind of resource that this version knows. */
export const KINDS: KindInfos<ResourceTypes> = { ...NETWORK_KINDS, ...POLICY_KINDS, ...BGP_KINDS, ...SETTINGS_KINDS, ...OWN_KINDS }

/** The names of all kinds of resources. */
export const RESOURCE_KINDS: readonly ResourceKind[] = Object.values(KINDS).map((info) => info.kind)

/** A kind's facts without its types, for those who handle every kind alike. */
export function kindInfo(kind: ResourceKind): KindInfo {
  return KINDS[kind] as KindInfo
}

/** The kind that a person means: its name, its plural or an alias, in any case. */
export function findKind(text: string): ResourceKind | undefined {
  const lower = text.toLowerCase()
  return RESOURCE_KINDS.find((kind) => kind.toLowerCase() === lower || KINDS[kind].plural === lower || KINDS[kind].aliases.includes(lower))
}
