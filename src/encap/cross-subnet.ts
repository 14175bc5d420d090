import { direct } from './direct.ts'
import type { EncapDriver } from './driver.ts'

/** Directly to peers on our subnet, through the tunnel to all others. Not a mode of its own: a choice between two drivers. */
export function crossSubnet(tunnel: EncapDriver): EncapDriver {
  return {
    name: `${tunnel.name}-cross-subnet`,
    receives: [...new Set([...direct.receives, ...tunnel.receives])],
    overhead: tunnel.overhead,
    devices: tunnel.devices,
    reach: (local, peer, family) => {
      const near = direct.reach(local, peer, family)
      return near.via === 'none' ? tunnel.reach(local, peer, family) : near
    },
  }
}
