import type { AddressSet } from './address-set.ts'
import type { LocalEndpoint } from './evaluate.ts'
import type { SideMatch } from './match-rule.ts'
import type { Policy } from './policies.ts'

/** Tells of the sets that policies and profiles of the endpoint name, but for those that were `seen`, to which it adds them. */
export function visitNamedSets({ tiers, profiles }: LocalEndpoint, seen: WeakSet<object>, visit: (set: AddressSet) => void): void {
  if (!seen.has(tiers)) for (const { policies } of tiers) for (const { rules } of policies) visitRules(rules, seen, visit)
  seen.add(tiers)
  for (const { rules } of profiles) visitRules(rules, seen, visit)
}

function visitRules(rules: Policy['rules'], seen: WeakSet<object>, visit: (set: AddressSet) => void): void {
  for (const list of [rules.ingress, rules.egress]) {
    if (list === undefined || seen.has(list)) continue
    seen.add(list)
    for (const { source, destination, families } of list) {
      if (families.length === 0) continue
      visitSide(source, visit)
      visitSide(destination, visit)
    }
  }
}

function visitSide({ set, notSet, service, ports, notPorts }: SideMatch, visit: (set: AddressSet) => void): void {
  for (const one of [set, notSet, service]) if (one) visit(one)
  for (const one of ports?.named ?? []) visit(one)
  for (const one of notPorts?.named ?? []) visit(one)
}
