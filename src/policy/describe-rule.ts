import type { EntityRule, Rule } from '../model/rule.ts'

/** A rule in one line, in the words of its fields: `Deny TCP from "role == 'guest'" to port 80, 443`. */
export function describeRule(rule: Rule): string {
  const { action, ipVersion, protocol, notProtocol, icmp, notICMP, source, destination, http } = rule
  const words = [
    ipVersion === undefined ? '' : `IPv${ipVersion}`,
    protocol === undefined ? '' : String(protocol),
    notProtocol === undefined ? '' : `not ${notProtocol}`,
    describeIcmp(icmp),
    notICMP === undefined ? '' : `not ${describeIcmp(notICMP)}`,
    describeSide('from', source),
    describeSide('to', destination),
    http === undefined ? '' : 'with http, which matches nothing here',
  ].filter((word) => word !== '')
  return `${action} ${words.length === 0 ? 'everything' : words.join(' ')}`
}

function describeIcmp(icmp: Rule['icmp']): string {
  if (icmp?.type === undefined) return ''
  return icmp.code === undefined ? `type ${icmp.type}` : `type ${icmp.type} code ${icmp.code}`
}

function describeSide(word: 'from' | 'to', side: EntityRule | undefined): string {
  const parts = side === undefined ? [] : sideParts(side)
  return parts.length === 0 ? '' : `${word} ${parts.join(' ')}`
}

function sideParts(side: EntityRule): readonly string[] {
  const { nets, notNets, selector, notSelector, namespaceSelector, services, serviceAccounts, ports, notPorts } = side
  return [
    listed('', nets),
    listed('not ', notNets),
    quoted('', selector),
    quoted('not ', notSelector),
    quoted('in namespaces ', namespaceSelector),
    listed('service accounts ', serviceAccounts?.names),
    quoted('service accounts ', serviceAccounts?.selector),
    services?.name === undefined ? '' : `service ${services.namespace === undefined ? '' : `${services.namespace}/`}${services.name}`,
    listed('port ', ports),
    listed('not port ', notPorts),
  ].filter((part) => part !== '')
}

function listed(before: string, list: readonly (string | number)[] | undefined): string {
  return list?.length ? `${before}${list.join(', ')}` : ''
}

function quoted(before: string, text: string | undefined): string {
  return text === undefined || text === '' ? '' : `${before}${JSON.stringify(text)}`
}
