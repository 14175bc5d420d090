import { checkIPPool, defaultIPPoolSpec, type IPPool, ipPoolSpecSchema, ipPoolStatusSchema } from './ip-pool.ts'
import { type IPReservation, ipReservationSpecSchema } from './ip-reservation.ts'
import {
  checkIPAMConfiguration,
  defaultIPAMConfigurationSpec,
  type IPAMConfiguration,
  ipamConfigurationSpecSchema,
} from './ipam-configuration.ts'
import { asGiven, GLOBAL_KIND, type KindInfos, NAMESPACED_KIND, noFaults } from './kind-info.ts'
import { checkNode, type Node, nodeSpecSchema, nodeStatusSchema } from './node.ts'
import { checkWorkloadEndpoint, type WorkloadEndpoint, workloadEndpointSpecSchema } from './workload-endpoint.ts'

/** Hosts, workloads and their addresses. */
export interface NetworkTypes {
  readonly Node: Node
  readonly IPPool: IPPool
  readonly IPReservation: IPReservation
  readonly IPAMConfiguration: IPAMConfiguration
  readonly WorkloadEndpoint: WorkloadEndpoint
}

/** Facts of the kinds of hosts, workloads and addresses. */
export const NETWORK_KINDS: KindInfos<NetworkTypes> = {
  Node: {
    ...GLOBAL_KIND,
    kind: 'Node',
    plural: 'nodes',
    aliases: ['no', 'nos'],
    specSchema: nodeSpecSchema,
    statusSchema: nodeStatusSchema,
    defaults: asGiven,
    validate: checkNode,
    judgesParts: true,
  },
  IPPool: {
    ...GLOBAL_KIND,
    kind: 'IPPool',
    plural: 'ippools',
    aliases: ['ipp', 'ipps', 'pool', 'pools'],
    specSchema: ipPoolSpecSchema,
    statusSchema: ipPoolStatusSchema,
    defaults: defaultIPPoolSpec,
    validate: checkIPPool,
    judgesParts: true,
  },
  IPReservation: {
    ...GLOBAL_KIND,
    kind: 'IPReservation',
    plural: 'ipreservations',
    aliases: ['reservation', 'reservations'],
    specSchema: ipReservationSpecSchema,
    defaults: asGiven,
    validate: noFaults,
    judgesParts: true,
  },
  IPAMConfiguration: {
    ...GLOBAL_KIND,
    kind: 'IPAMConfiguration',
    plural: 'ipamconfigurations',
    aliases: ['ipamconfig', 'ipamconfigs'],
    specSchema: ipamConfigurationSpecSchema,
    defaults: defaultIPAMConfigurationSpec,
    validate: checkIPAMConfiguration,
    judgesParts: true,
  },
  WorkloadEndpoint: {
    ...NAMESPACED_KIND,
    kind: 'WorkloadEndpoint',
    plural: 'workloadendpoints',
    aliases: ['wep', 'weps'],
    specSchema: workloadEndpointSpecSchema,
    defaults: asGiven,
    validate: checkWorkloadEndpoint,
    judgesParts: true,
  },
}
