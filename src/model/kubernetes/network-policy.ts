import * as z from 'zod'
import { type Issue, ValidationError } from '../../errors.ts'
import { cidrContains, lengthOf, parseCidrLoosely } from '../../net/cidr.ts'
import { portOrNameField } from '../endpoint-check.ts'
import { checkedText, type DeepReadonly, defaultsTo, integerField, shownAs } from '../fields.ts'
import { enforced } from '../tags.ts'
import { checkLabelSelector, labelSelectorSchema } from './label-selector.ts'

/** A prefix; host bits are masked, as Kubernetes does. */
const prefixField = shownAs(
  'prefix',
  { pattern: '^[0-9a-fA-F:.]+/[0-9]{1,3}$' },
  checkedText((text) => {
    const masked = parseCidrLoosely(text)
    if (!text.includes('/')) throw new ValidationError(`${JSON.stringify(text)} has no prefix length: write ${masked}`)
  }),
)

const peerSchema = z.object({
  podSelector: labelSelectorSchema.optional(),
  namespaceSelector: labelSelectorSchema.optional(),
  ipBlock: z
    .object({
      cidr: enforced('A prefix.', prefixField),
      except: enforced('Prefixes in it that do not match.', z.array(prefixField)).optional(),
    })
    .optional(),
})

const portSchema = z.object({
  protocol: enforced('The protocol of the port.', defaultsTo('TCP', z.enum(['TCP', 'UDP', 'SCTP']))).optional(),
  port: enforced('A port by number or name; absent: every port of the protocol.', portOrNameField).optional(),
  endPort: enforced('The last of a range of ports that begins with `port`.', integerField(1, 65_535)).optional(),
})

/** The members of the spec of a NetworkPolicy of `networking.k8s.io/v1` in Go's order: what it allows to or from the workloads selected. */
export const kubernetesPolicyFields = {
  podSelector: labelSelectorSchema.optional(),
  ingress: z.array(z.object({ ports: z.array(portSchema).optional(), from: z.array(peerSchema).optional() })).optional(),
  egress: z.array(z.object({ ports: z.array(portSchema).optional(), to: z.array(peerSchema).optional() })).optional(),
  policyTypes: enforced(
    'The directions that are closed but for what the rules allow. Default: Ingress, and Egress if there are egress rules.',
    z.array(z.enum(['Ingress', 'Egress'])),
  ).optional(),
} as const

export const kubernetesPolicySchema = z.object(kubernetesPolicyFields)

export type KubernetesPolicySpec = DeepReadonly<z.infer<typeof kubernetesPolicySchema>>
export type KubernetesPeer = DeepReadonly<z.infer<typeof peerSchema>>
export type KubernetesPort = DeepReadonly<z.infer<typeof portSchema>>

/** What is wrong with the spec beyond the shape of its fields; what is left of a faulty one is judged too. */
export function checkKubernetesPolicy(spec: KubernetesPolicySpec): readonly Issue[] {
  const rules = [
    ...(spec.ingress ?? []).map((rule, index) => ({ path: `spec.ingress[${index}]`, ports: rule?.ports, peers: rule?.from, side: 'from' })),
    ...(spec.egress ?? []).map((rule, index) => ({ path: `spec.egress[${index}]`, ports: rule?.ports, peers: rule?.to, side: 'to' })),
  ]
  return [
    ...checkLabelSelector(spec.podSelector, 'spec.podSelector'),
    ...rules.flatMap(({ path, ports, peers, side }) => [
      ...(ports ?? []).flatMap((port, index) => (port === undefined ? [] : checkPort(port, `${path}.ports[${index}]`))),
      ...(peers ?? []).flatMap((peer, index) => (peer === undefined ? [] : checkPeer(peer, `${path}.${side}[${index}]`))),
    ]),
  ]
}

function checkPort({ port, endPort }: KubernetesPort, path: string): readonly Issue[] {
  if (endPort === undefined) return []
  if (typeof port !== 'number') return [{ path: `${path}.endPort`, message: 'needs a port that is a number' }]
  return endPort < port ? [{ path: `${path}.endPort`, message: `${endPort} is less than the port ${port}` }] : []
}

function checkPeer({ podSelector, namespaceSelector, ipBlock }: KubernetesPeer, path: string): readonly Issue[] {
  const issues: Issue[] = []
  if (podSelector === undefined && namespaceSelector === undefined && ipBlock === undefined) {
    issues.push({ path, message: 'needs podSelector, namespaceSelector or ipBlock' })
  }
  if (ipBlock !== undefined && (podSelector !== undefined || namespaceSelector !== undefined)) {
    issues.push({ path, message: "ipBlock can't stand beside podSelector or namespaceSelector" })
  }
  return [
    ...issues,
    ...checkLabelSelector(podSelector, `${path}.podSelector`),
    ...checkLabelSelector(namespaceSelector, `${path}.namespaceSelector`),
    ...checkBlock(ipBlock, `${path}.ipBlock`),
  ]
}

function checkBlock(block: KubernetesPeer['ipBlock'], path: string): readonly Issue[] {
  const whole = tryCidr(block?.cidr)
  if (whole === undefined) return []
  return (block?.except ?? []).flatMap((text, index) => {
    const part = tryCidr(text)
    if (part === undefined || (cidrContains(whole, part) && lengthOf(part) > lengthOf(whole))) return []
    return [{ path: `${path}.except[${index}]`, message: `${text} is not a part of ${whole}` }]
  })
}

function tryCidr(text: string | undefined) {
  try {
    return text === undefined ? undefined : parseCidrLoosely(text)
  } catch {
    return undefined
  }
}
