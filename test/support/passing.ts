import { until } from './nft-lab.ts'
import { aPacket } from './policies.ts'
import type { Link, PolicyLab } from './policy-lab.ts'

/** Where packets come to, each `[from, packet]`; undefined: nowhere. */
export type Pass = (...sent: readonly (readonly [Link | 'host', string])[]) => Promise<readonly (Link | 'host' | undefined)[]>

/** Sends packets in a lab, and looks who gets them. Rules must let UDP from beyond `eth0` to 203.0.113.9 port 7 through. */
export function passIn(lab: PolicyLab): Pass {
  let ids = 0
  return async (...sent) => {
    const numbered = sent.map(([from, text]) => ({ from, packet: aPacket(text), id: ++ids }))
    for (const { from, packet, id } of numbered) lab.send(from, packet, id)
    // What comes after it has come.
    const last = ++ids
    lab.send('eth0', aPacket(`udp 198.51.100.1:${40_000 + (last % 20_000)} > 203.0.113.9:7`), last)
    const received = new Map<number, Link | 'host'>()
    await until('the last packet', () => {
      for (const [id, where] of lab.takeReceived()) received.set(id, where)
      return received.has(last) ? true : undefined
    })
    return numbered.map(({ id }) => received.get(id))
  }
}
