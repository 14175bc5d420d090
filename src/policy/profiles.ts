import { DEFAULT_ALLOW_PROFILE, type Profile } from '../model/profile.ts'
import { type MatchRule, readRule } from './match-rule.ts'
import type { Direction } from './policies.ts'

/** A profile's rules: what holds for endpoints where no policy applies. */
export interface ProfileRules {
  readonly name: string
  readonly rules: Readonly<Record<Direction, readonly MatchRule[]>>
  /** It does not exist. */
  readonly isMissing?: true
}

/**
 * Reads the profile of this name; undefined stands for one that does not exist: it denies everything, and no profile after it is asked.
 *
 * @throws {ValidationError} if a selector, a protocol or a port in it does not parse
 */
export function readProfile(name: string, profile: Profile | undefined): ProfileRules {
  if (name === DEFAULT_ALLOW_PROFILE) return { name, rules: { ingress: [ALLOW_ALL], egress: [ALLOW_ALL] } }
  if (profile === undefined) return { name, rules: { ingress: [DENY_ALL], egress: [DENY_ALL] }, isMissing: true }
  const read = (rules: Profile['spec']['ingress']) => (rules ?? []).map((rule) => readRule(rule, undefined))
  return { name, rules: { ingress: read(profile.spec.ingress), egress: read(profile.spec.egress) } }
}

const ALLOW_ALL = readRule({ action: 'Allow' }, undefined)
const DENY_ALL = readRule({ action: 'Deny' }, undefined)
