import { lookup } from 'node:dns/promises'
import { isDeepStrictEqual } from 'node:util'
import { isIp, parseIp } from '../net/ip.ts'
import type { EtcdUse } from '../policy/implicit.ts'
import { EMBEDDED_CLIENT_PORT, EMBEDDED_PEER_PORT } from '../store/embedded.ts'

/** Where the configuration says that etcd is. */
export interface EtcdPlaces {
  readonly endpoints: readonly string[]
  readonly embedded: boolean
}

/** Gives all addresses of a name. */
export type Resolve = (name: string) => Promise<readonly string[]>

const DEFAULT_PORTS: Readonly<Record<string, number>> = { 'http:': 80, 'https:': 443 }

/**
 * The addresses of the etcd that this host uses, so that rules can let it through. Names are looked up again and again; one that can't be
 * now keeps what it was known to be.
 */
export class EtcdAddresses {
  readonly #places: EtcdPlaces
  readonly #resolve: Resolve
  readonly #known = new Map<string, readonly string[]>()
  #use: EtcdUse

  constructor(places: EtcdPlaces, resolve: Resolve = lookUpAll) {
    this.#places = places
    this.#resolve = resolve
    this.#use = this.#read()
  }

  /** As they are known now: the same object until they change. */
  get use(): EtcdUse {
    return this.#use
  }

  /** Looks all names up; gives whether an address is another than before. */
  async refresh(): Promise<boolean> {
    const names = new Set(this.#urls().flatMap(({ host }) => (isIp(host) ? [] : [host])))
    await Promise.all([...names].map((name) => this.#refreshName(name)))
    const use = this.#read()
    if (isDeepStrictEqual(use, this.#use)) return false
    this.#use = use
    return true
  }

  async #refreshName(name: string): Promise<void> {
    try {
      const found = await this.#resolve(name)
      if (found.length > 0) this.#known.set(name, [...found].sort())
    } catch {
      // It stays where it was: a name server that is away must not cut the host from etcd.
    }
  }

  #urls(): readonly { readonly host: string; readonly port: number }[] {
    return this.#places.endpoints.map((text) => {
      const { hostname, port, protocol } = new URL(text)
      return { host: hostname.replace(/^\[|\]$/g, ''), port: port === '' ? (DEFAULT_PORTS[protocol] ?? 443) : Number(port) }
    })
  }

  #read(): EtcdUse {
    const endpoints = this.#urls().flatMap(({ host, port }) => {
      const ips = isIp(host) ? [host] : (this.#known.get(host) ?? [])
      return ips.map((ip) => ({ ip: parseIp(ip), port }))
    })
    return { endpoints, ownPorts: this.#places.embedded ? [EMBEDDED_CLIENT_PORT, EMBEDDED_PEER_PORT] : [] }
  }
}

async function lookUpAll(name: string): Promise<readonly string[]> {
  return (await lookup(name, { all: true })).map(({ address }) => address)
}
