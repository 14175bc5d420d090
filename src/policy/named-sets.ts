import type { AddressSet } from './address-set.ts'
import type { LocalEndpoint } from './evaluate.ts'
import type { MatchRule, SideMatch } from './match-rule.ts'

/** The sets that policies and profiles of the endpoint name, but for those that were `seen`, which it adds to. */
export function* namedSets({ tiers, profiles }: LocalEndpoint, seen: WeakSet<object>): Generator<AddressSet> {
  const policies = tiers.flatMap((tier) => tier.policies)
  for (const one of [...policies, ...profiles]) {
    if (seen.has(one)) continue
    seen.add(one)
    for (const rules of [one.rules.ingress, one.rules.egress]) for (const rule of rules ?? []) yield* setsOf(rule)
  }
}

function* setsOf({ source, destination, families }: MatchRule): Generator<AddressSet> {
  if (families.length === 0) return
  for (const side of [source, destination]) yield* setsOfSide(side)
}

function* setsOfSide({ set, notSet, service, ports, notPorts }: SideMatch): Generator<AddressSet> {
  for (const one of [set, notSet, service]) if (one) yield one
  yield* ports?.named ?? []
  yield* notPorts?.named ?? []
}
