import type { FieldWarning } from './field-warnings.ts'
import type { AnyResource } from './kinds.ts'
import type { PolicyType } from './policy.ts'
import type { Rule } from './rule.ts'

/**
 * Rules of a policy or a profile that do nothing, whatever comes: those of a direction that the policy does not govern, and those
 * after one that decides about everything. Each is right by itself; together they are seldom what was meant.
 */
export function policyHints({ spec }: AnyResource): readonly FieldWarning[] {
  if (!('ingress' in spec) && !('egress' in spec)) return []
  const types: readonly string[] = 'types' in spec && spec.types !== undefined ? spec.types : []
  return (['ingress', 'egress'] as const).flatMap((direction) => {
    const rules = rulesIn(spec, direction)
    const type: PolicyType = direction === 'ingress' ? 'Ingress' : 'Egress'
    if (rules.length === 0) return []
    if (types.length > 0 && !types.includes(type)) return [hint(`spec.${direction}`, `has no effect: types does not name ${type}`)]
    const last = rules.findIndex(decidesAll)
    const unreached = last + 1
    if (last < 0 || unreached === rules.length) return []
    return [hint(`spec.${direction}[${unreached}]`, `is never reached: spec.${direction}[${last}] decides about everything`)]
  })
}

/** Rules in Calico's form; a policy in Kubernetes' form has others, which only allow. */
function rulesIn(spec: AnyResource['spec'], direction: 'ingress' | 'egress'): readonly Rule[] {
  const rules: unknown = direction in spec ? (spec as Readonly<Record<string, unknown>>)[direction] : undefined
  return Array.isArray(rules) ? rules.filter((rule): rule is Rule => 'action' in rule) : []
}

function decidesAll({ action, metadata: _, source = {}, destination = {}, ...members }: Rule): boolean {
  return action !== 'Log' && [source, destination, members].every((part) => Object.values(part).every((member) => member === undefined))
}

function hint(path: string, message: string): FieldWarning {
  return { path, message, tag: 'stored' }
}
