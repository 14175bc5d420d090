import type { Sysctl } from '../kernel/objects.ts'

/** What turning on forwarding depends on. */
export interface ForwardingInput {
  /** FelixConfiguration ipForwarding is not Disabled, and there is a pool or a workload. */
  readonly isWanted: boolean
  readonly hasIpv6: boolean
  /** Interfaces that are not ours and take router advertisements (accept_ra is 1 or 2). */
  readonly advertisedLinks: readonly string[]
}

/**
 * The host's forwarding. The kernel stops taking router advertisements on an interface with accept_ra 1 as soon as the host
 * forwards IPv6, and removes the default routes that it had from them: each gets 2 first (Linux ip-sysctl, accept_ra);
 * kernel/sysctl writes accept_ra before forwarding, whatever the order here. Nothing is turned off again: others may rely on it by then.
 */
export function planForwarding({ isWanted, hasIpv6, advertisedLinks }: ForwardingInput): readonly Sysctl[] {
  if (!isWanted) return []
  const v4 = [{ key: 'net/ipv4/ip_forward', value: '1' }]
  if (!hasIpv6) return v4
  const advertised = [...advertisedLinks].sort().map((link) => ({ key: `net/ipv6/conf/${link}/accept_ra`, value: '2' }))
  return [...v4, ...advertised, { key: 'net/ipv6/conf/all/forwarding', value: '1' }]
}
