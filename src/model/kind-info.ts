import * as z from 'zod'
import type { Issue } from '../errors.ts'
import { API_VERSION, type CORE_VERSION } from './resource.ts'

/** What is to be known of a kind by those who handle every kind alike. */
export interface KindFacts<K extends string, R extends { readonly spec: unknown }> {
  readonly kind: K
  /** As documents name it. */
  readonly apiVersion: typeof API_VERSION | typeof CORE_VERSION
  /** As in keys: `ippools`. */
  readonly plural: string
  readonly isNamespaced: boolean
  /** Other names on the command line, in lower case. */
  readonly aliases: readonly string[]
  readonly specSchema: z.ZodObject
  readonly statusSchema: z.ZodType
  /** The spec with what is absent filled in, as a writer stores it. */
  defaults(spec: R['spec'], name: string): R['spec']
  /** What is wrong with a resource beyond the shape of its fields. */
  validate(resource: R): readonly Issue[]
  /** That `validate` also judges what is left of a resource some of whose fields are wrong (soundParts). */
  readonly judgesParts?: true
}

/** The facts of a group of kinds, by kind. */
export type KindInfos<Types extends { readonly [K in keyof Types]: { readonly spec: unknown } }> = {
  readonly [K in keyof Types & string]: KindFacts<K, Types[K]>
}

/** Facts of most kinds: in no namespace, without a status that we know. */
export const GLOBAL_KIND = { apiVersion: API_VERSION, isNamespaced: false, statusSchema: z.looseObject({}), aliases: [] } as const

/** Facts of kinds whose resources stand in a namespace. */
export const NAMESPACED_KIND = { ...GLOBAL_KIND, isNamespaced: true } as const

/** For kinds whose specs have no defaults to fill in. */
export function asGiven<Spec>(spec: Spec): Spec {
  return spec
}

/** For kinds that have no rules beyond the shapes of their fields. */
export function noFaults(): readonly Issue[] {
  return []
}
