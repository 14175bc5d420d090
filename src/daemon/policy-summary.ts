import type { PolicyReport } from '../model/own/api.ts'
import type { LocalEndpoint } from '../policy/evaluate.ts'
import type { PolicedHost } from '../policy/evaluate-path.ts'
import type { Policy } from '../policy/policies.ts'
import type { Merger } from '../reconcile/merge.ts'
import type { Planner } from './planner.ts'

/** How much policy there is on this host: for status, which may be asked each second. */
export class PolicySummary {
  #version: number | undefined
  #report: PolicyReport | undefined

  /** As of the last plan; undefined before the first. While it is planned anew the last one is given again. */
  of(planner: Pick<Planner, 'policed' | 'policyVersion'>, { tables }: Pick<Merger, 'tables'>): PolicyReport | undefined {
    if (planner.policyVersion === this.#version) return this.#report
    const host = planner.policed(() => false)
    if (host === undefined) return this.#report
    this.#version = planner.policyVersion
    const chains = [...tables.policy.values()].filter((object) => object.kind === 'chain')
    this.#report = { ...summarize(host), rules: chains.reduce((sum, { rules }) => sum + rules.length, 0) }
    return this.#report
  }
}

function summarize({ workloads, hostEndpoints, wildcard }: PolicedHost): Omit<PolicyReport, 'rules'> {
  const placed = [...[...hostEndpoints].sort(), ...(wildcard === undefined ? [] : [['*', wildcard] as const])]
  const policed = [...workloads.values()].filter(({ tiers }) => tiers.length > 0)
  const policies = new Map<string, Policy>()
  for (const { tiers } of new Set([...policed, ...placed.map(([, one]) => one)])) {
    for (const policy of tiers.flatMap((tier) => tier.policies)) if (policy.tier !== '') policies.set(policy.key, policy)
  }
  return {
    policies: policies.size,
    staged: [...policies.values()].filter(({ isStaged }) => isStaged).length,
    tiers: new Set([...policies.values()].map(({ tier }) => tier)).size,
    workloads: policed.length,
    hostEndpoints: placed.map(([link, endpoint]) => ({
      name: endpoint.id.replace('HostEndpoint/', ''),
      interface: link,
      policies: namesOf(endpoint),
    })),
  }
}

/** In the order in which they are asked. What does not parse and closes the endpoint has no tier. */
function namesOf({ tiers }: LocalEndpoint): readonly string[] {
  return tiers.flatMap(({ policies }) =>
    policies.map(({ kind, namespace, name, tier }) => {
      if (tier === '') return 'closed: what is for it does not parse'
      return `${kind} ${namespace === undefined ? '' : `${namespace}/`}${name}`
    }),
  )
}
