import * as z from 'zod'
import { PROGRAM_CLUSTER_ROUTES } from '../bgp-configuration.ts'
import {
  defaultsTo,
  durationField,
  emptyIsKept,
  integerField,
  interfaceAddressField,
  ipv4Field,
  ipv6Field,
  patternField,
  portRangeField,
  wordField,
} from '../fields.ts'
import { enforced, later, stored } from '../tags.ts'
import { interfaceFilterField, interfaceNameField } from './interface-field.ts'

const off = defaultsTo(false, z.boolean())
const on = defaultsTo(true, z.boolean())
const mtuField = defaultsTo(0, integerField(0, 65_535))
const portField = integerField(1, 65_535)
const disabled = defaultsTo('Disabled', z.enum(['Enabled', 'Disabled']))
const normalPriority = defaultsTo(1024, integerField(1, 2_147_483_646))
const elevatedPriority = defaultsTo(512, integerField(1, 2_147_483_646))
const NICS = '^((en|wl|ww|sl|ib)[Pcopsvx].*|(eth|wlan|wwan).*)'

const tableRange = z.object({
  min: later('First routing table.', z.number().int()),
  max: later('Last routing table.', z.number().int()),
})

/** What decides routes and tunnels. */
const routing = {
  ipv6Support: stored("Whether Calico's agent does IPv6; margay does what the pools say.", on).optional(),
  ipForwarding: enforced(
    'Whether forwarding is turned on where there are pools or workloads.',
    defaultsTo('Enabled', z.enum(['Enabled', 'Disabled'])),
  ).optional(),
  interfacePrefix: stored("What names of workloads' interfaces begin with, with commas.", defaultsTo('cali', z.string())).optional(),
  interfaceExclude: stored(
    'Interfaces that are left alone, with commas; `/…/` is a regular expression.',
    defaultsTo('kube-ipvs0', z.string()),
  ).optional(),
  deviceRouteProtocol: stored("Route protocol of Calico's routes; margay's is 77.", defaultsTo(3, z.number().int())).optional(),
  deviceRouteSourceAddress: later('Source address of the routes to workloads.', ipv4Field).optional(),
  deviceRouteSourceAddressIPv6: later('IPv6 source address of the routes to workloads.', ipv6Field).optional(),
  removeExternalRoutes: stored("Whether foreign routes over workloads' interfaces are removed.", on).optional(),
  routeSource: stored(
    'Whether routes follow from blocks or from endpoints.',
    defaultsTo('CalicoIPAM', wordField(['CalicoIPAM', 'WorkloadIPs'])),
  ).optional(),
  routeTableRanges: z.array(tableRange).optional(),
  routeTableRange: tableRange.optional(),
  routeSyncDisabled: later('Leave routes alone altogether.', off).optional(),
  programClusterRoutes: enforced(
    'Whether this agent programs the routes of pools without encapsulation (`Enabled`, `EnabledNoEncapOnly`) or leaves them to BGP.',
    defaultsTo('EnabledIPIPOnly', z.enum(PROGRAM_CLUSTER_ROUTES)),
  ).optional(),
  ipv4NormalRoutePriority: enforced('Metric of the routes to IPv4 workloads of this host.', normalPriority).optional(),
  ipv6NormalRoutePriority: enforced('Metric of the routes to IPv6 workloads of this host.', normalPriority).optional(),
  ipv4ElevatedRoutePriority: stored('Metric of routes to a virtual machine that moves.', elevatedPriority).optional(),
  ipv6ElevatedRoutePriority: stored('Metric of IPv6 routes to a virtual machine that moves.', elevatedPriority).optional(),
  localSubnetL2Reachability: stored(
    'Whether hosts answer ARP for workloads with addresses of their own subnet.',
    defaultsTo('Disabled', z.enum(['Disabled', 'PodsAndLoadBalancers'])),
  ).optional(),
  localSubnetL2ReachabilityRefreshInterval: stored('How often that is told again.', defaultsTo('120s', durationField)).optional(),
  requireMTUFile: stored("Whether Calico's plug-ins wait for the file with the MTU.", off).optional(),
}

const tunnels = {
  ipipEnabled: later('Whether there is an IP-in-IP device; absent: if a pool wants it.', z.boolean()).optional(),
  vxlanEnabled: stored('Whether there is a VXLAN device; margay has one if a pool wants it.', z.boolean()).optional(),
  ipipMTU: later('MTU of the IP-in-IP device; 0: from the uplink, less the overhead.', mtuField).optional(),
  vxlanMTU: enforced('MTU of the VXLAN device; 0: from the uplink, less the overhead.', mtuField).optional(),
  vxlanMTUV6: enforced('MTU of the VXLAN device over IPv6; 0: from the uplink, less the overhead.', mtuField).optional(),
  mtuIfacePattern: stored('Interfaces whose MTU counts; margay takes that of the uplink.', defaultsTo(NICS, patternField)).optional(),
  vxlanPort: enforced('UDP port of VXLAN, the same on all hosts.', defaultsTo(4789, portField)).optional(),
  vxlanVNI: enforced('VXLAN network identifier, the same on all hosts.', defaultsTo(4096, integerField(1, 16_777_215))).optional(),
  allowVXLANPacketsFromWorkloads: enforced('Whether workloads may send VXLAN packets.', off).optional(),
  allowIPIPPacketsFromWorkloads: enforced('Whether workloads may send IP-in-IP packets.', off).optional(),
  externalNodesList: enforced(
    'IPv4 addresses and prefixes besides the hosts of the network from which tunnelled packets are accepted.',
    emptyIsKept(z.array(interfaceAddressField)),
  ).optional(),
  wireguardEnabled: later('Encrypt traffic between hosts over IPv4.', off).optional(),
  wireguardEnabledV6: later('Encrypt traffic between hosts over IPv6.', off).optional(),
  wireguardListeningPort: later('UDP port of WireGuard over IPv4.', defaultsTo(51_820, portField)).optional(),
  wireguardListeningPortV6: later('UDP port of WireGuard over IPv6.', defaultsTo(51_821, portField)).optional(),
  wireguardRoutingRulePriority: later('Priority of the routing rule for WireGuard.', defaultsTo(99, integerField(1, 32_765))).optional(),
  wireguardInterfaceName: later('Name of the WireGuard device.', defaultsTo('wireguard.cali', interfaceNameField)).optional(),
  wireguardInterfaceNameV6: later('Name of the WireGuard device over IPv6.', defaultsTo('wg-v6.cali', interfaceNameField)).optional(),
  wireguardMTU: later('MTU of the WireGuard device; 0: from the uplink, less the overhead.', mtuField).optional(),
  wireguardMTUV6: later('MTU of the WireGuard device over IPv6.', mtuField).optional(),
  wireguardKeepAlive: later(
    'How often a peer hears of us when there is no traffic; 0 for never.',
    defaultsTo('0s', durationField),
  ).optional(),
  wireguardHostEncryptionEnabled: later('Encrypt traffic of the hosts themselves too.', off).optional(),
  wireguardThreadingEnabled: later('Let the kernel spread WireGuard over processors (threaded NAPI).', off).optional(),
}

const nat = {
  natPortRange: enforced('Ports that outgoing NAT uses.', portRangeField).optional(),
  natOutgoingAddress: enforced("Address that outgoing NAT uses in place of the interface's.", ipv4Field).optional(),
  natOutgoingExclusions: enforced(
    'What outgoing NAT leaves alone: what goes to pools, or to hosts too.',
    defaultsTo('IPPoolsOnly', z.enum(['IPPoolsOnly', 'IPPoolsAndHostIPs'])),
  ).optional(),
  iptablesNATOutgoingInterfaceFilter: enforced(
    'The interface that outgoing NAT is limited to; `+` at the end for all that begin so.',
    interfaceFilterField,
  ).optional(),
  floatingIPs: later("Whether endpoints' ipNATs are acted on.", disabled).optional(),
  serviceLoopPrevention: later(
    'What happens to packets for addresses of Services that nobody has.',
    defaultsTo('Drop', wordField(['Drop', 'Reject', 'Disabled'])),
  ).optional(),
}

/** What decides routes, tunnels and addresses. */
export const FELIX_NETWORK = { ...routing, ...tunnels, ...nat }
