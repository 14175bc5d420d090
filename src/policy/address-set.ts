import { createHash } from 'node:crypto'
import { formatSelector, selectorId } from '../model/selector.ts'
import type { Selector } from '../model/selector-parse.ts'

/** The addresses of all endpoints and network sets that a selector matches. */
export interface SelectorSet {
  readonly kind: 'selector'
  /** As Calico's agents name it: equal selectors have one id. */
  readonly id: string
  readonly selector: Selector
}

/** Address, protocol and port of every endpoint that a selector matches and that has a port of this name and protocol. */
export interface NamedPortSet {
  readonly kind: 'named-port'
  readonly id: string
  readonly selector: Selector
  readonly protocol: number
  readonly name: string
}

/** What stands behind a Service: its addresses, or address, protocol and port. */
export interface ServiceSet {
  readonly kind: 'service'
  readonly id: string
  /** `<namespace>/<name>`. */
  readonly service: string
  readonly hasPorts: boolean
}

/** Something that a rule names and whose members come and go without the rule changing. */
export type AddressSet = SelectorSet | NamedPortSet | ServiceSet

export function selectorSet(selector: Selector): SelectorSet {
  return { kind: 'selector', id: selectorId(selector), selector }
}

export function namedPortSet(selector: Selector, protocol: number, name: string): NamedPortSet {
  return { kind: 'named-port', id: `n:${digest(`${formatSelector(selector)},${protocol},${name}`)}`, selector, protocol, name }
}

export function serviceSet(service: string, hasPorts: boolean): ServiceSet {
  const prefix = hasPorts ? 'svc' : 'svcnoport'
  return { kind: 'service', id: `${prefix}:${digest(service)}`, service, hasPorts }
}

function digest(text: string): string {
  return createHash('sha224').update(text).digest('base64url')
}
