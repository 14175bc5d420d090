import {
  type BGPConfiguration,
  bgpConfigurationSpecSchema,
  checkBgpConfiguration,
  defaultBgpConfigurationSpec,
} from './bgp-configuration.ts'
import { type BGPFilter, bgpFilterSpecSchema, checkBgpFilter } from './bgp-filter.ts'
import { type BGPPeer, bgpPeerSpecSchema, checkBgpPeer } from './bgp-peer.ts'
import {
  type CalicoNodeStatus,
  calicoNodeStatusSpecSchema,
  calicoNodeStatusStatusSchema,
  checkCalicoNodeStatus,
} from './calico-node-status.ts'
import { asGiven, GLOBAL_KIND, type KindInfos } from './kind-info.ts'

/** BGP: its configuration, its peers, and what hosts tell of it. */
export interface BgpTypes {
  readonly BGPConfiguration: BGPConfiguration
  readonly BGPPeer: BGPPeer
  readonly BGPFilter: BGPFilter
  readonly CalicoNodeStatus: CalicoNodeStatus
}

/** Facts of the kinds of BGP. */
export const BGP_KINDS: KindInfos<BgpTypes> = {
  BGPConfiguration: {
    ...GLOBAL_KIND,
    kind: 'BGPConfiguration',
    plural: 'bgpconfigurations',
    aliases: ['bgpconfig', 'bgpconfigs'],
    specSchema: bgpConfigurationSpecSchema,
    defaults: defaultBgpConfigurationSpec,
    validate: checkBgpConfiguration,
    judgesParts: true,
  },
  BGPPeer: {
    ...GLOBAL_KIND,
    kind: 'BGPPeer',
    plural: 'bgppeers',
    aliases: ['bgpp', 'bgpps', 'bp', 'bps'],
    specSchema: bgpPeerSpecSchema,
    defaults: asGiven,
    validate: checkBgpPeer,
    judgesParts: true,
  },
  BGPFilter: {
    ...GLOBAL_KIND,
    kind: 'BGPFilter',
    plural: 'bgpfilters',
    aliases: ['bgpf', 'bgpfs', 'bf', 'bfs'],
    specSchema: bgpFilterSpecSchema,
    defaults: asGiven,
    validate: checkBgpFilter,
    judgesParts: true,
  },
  CalicoNodeStatus: {
    ...GLOBAL_KIND,
    kind: 'CalicoNodeStatus',
    plural: 'caliconodestatuses',
    aliases: ['nodestatus', 'nodestatuses'],
    specSchema: calicoNodeStatusSpecSchema,
    statusSchema: calicoNodeStatusStatusSchema,
    defaults: asGiven,
    validate: checkCalicoNodeStatus,
    judgesParts: true,
  },
}
