import * as z from 'zod'
import { ValidationError } from '../../errors.ts'
import {
  checkedText,
  defaultsTo,
  durationField,
  emptyIsKept,
  integerField,
  interfaceAddressField,
  portRangeField,
  shownAs,
  wordField,
} from '../fields.ts'
import { enforced, stored } from '../tags.ts'

const off = defaultsTo(false, z.boolean())
const on = defaultsTo(true, z.boolean())
const acceptReturn = defaultsTo('Accept', wordField(['Accept', 'Return']))
const dropReject = defaultsTo('Drop', wordField(['Drop', 'Reject']))
const markMask = defaultsTo(0xffff_0000, integerField(0, 0xffff_ffff))

const rateField = shownAs(
  'number and unit, `5/second`',
  { pattern: '^[1-9][0-9]{0,3}/(second|minute|hour|day)$' },
  checkedText((text) => {
    if (/^[1-9]\d{0,3}\/(second|minute|hour|day)$/.test(text)) return
    throw new ValidationError(`${JSON.stringify(text)} is not a rate (1 to 9999 a second, minute, hour or day: 5/second)`)
  }),
)

const logPrefixField = shownAs(
  'string',
  { pattern: '^[a-zA-Z0-9%: /_-]*$' },
  checkedText((text) => {
    if (/^[a-zA-Z0-9%: /_-]*$/.test(text)) return
    throw new ValidationError(`${JSON.stringify(text)} is not a prefix of log lines (letters, digits, blanks, "%", ":", "/", "_" and "-")`)
  }),
)

const failsafes = (direction: string) =>
  emptyIsKept(
    z.array(
      z.object({
        protocol: enforced('The protocol: tcp, udp or sctp.', defaultsTo('tcp', z.string())).optional(),
        port: enforced(`Port that stays open ${direction} host endpoints, whatever the policies say.`, integerField(0, 65_535)),
        net: enforced('Only for these addresses.', interfaceAddressField).optional(),
      }),
    ),
  ).optional()

/** What decides about packets. */
const verdicts = {
  defaultEndpointToHostAction: enforced(
    'What happens to packets of a workload for its own host after the rules of the workload.',
    defaultsTo('Drop', wordField(['Drop', 'Return', 'Accept'])),
  ).optional(),
  failsafeInboundHostPorts: failsafes('to'),
  failsafeOutboundHostPorts: failsafes('from'),
  nftablesFilterDenyAction: enforced('Whether packets that are denied are dropped, or answered.', dropReject).optional(),
  iptablesFilterDenyAction: enforced('As nftablesFilterDenyAction, where Calico uses iptables.', dropReject).optional(),
  disableConntrackInvalidCheck: enforced('Let packets pass that belong to no connection and begin none.', off).optional(),
  workloadSourceSpoofing: enforced(
    "Whether endpoints' allowSpoofedSourcePrefixes are acted on.",
    defaultsTo('Disabled', wordField(['Disabled', 'Any'])),
  ).optional(),
  logPrefix: enforced(
    'What stands with events of the rule Log; %t is the tier, %k the kind, %n the name, %p namespace and name.',
    defaultsTo('calico-packet', logPrefixField),
  ).optional(),
  logActionRateLimit: enforced('Most events of each rule Log; without it all are told.', rateField).optional(),
  logActionRateLimitBurst: enforced(
    'Events that may exceed logActionRateLimit for a moment.',
    defaultsTo(5, integerField(0, 9999)),
  ).optional(),
}

/** How Calico's agent programs the packet filter. margay has a table of its own in nftables. */
const programming = {
  chainInsertMode: stored(
    "Where Calico's rules stand in the kernel's chains.",
    defaultsTo('Insert', wordField(['Insert', 'Append'])),
  ).optional(),
  iptablesFilterAllowAction: stored(
    'Whether what iptables rules allow passes, or goes on to the rules of others.',
    acceptReturn,
  ).optional(),
  nftablesFilterAllowAction: stored(
    'Whether what nftables rules allow passes, or goes on to the rules of others.',
    acceptReturn,
  ).optional(),
  iptablesMangleAllowAction: stored('As iptablesFilterAllowAction, before destination NAT.', acceptReturn).optional(),
  nftablesMangleAllowAction: stored('As nftablesFilterAllowAction, before destination NAT.', acceptReturn).optional(),
  iptablesBackend: stored('Which iptables Calico uses.', defaultsTo('Auto', wordField(['Legacy', 'NFT', 'Auto']))).optional(),
  nftablesMode: stored('Whether Calico uses nftables.', defaultsTo('Auto', z.enum(['Enabled', 'Disabled', 'Auto']))).optional(),
  nftablesFlowTableOffload: stored(
    'Whether packets of known connections take a short way (flowtable).',
    defaultsTo('Disabled', z.enum(['All', 'Disabled'])),
  ).optional(),
  iptablesMarkMask: stored("Bits of packets' marks that Calico may use with iptables.", markMask).optional(),
  nftablesMarkMask: stored("Bits of packets' marks that Calico may use with nftables.", markMask).optional(),
  iptablesRefreshInterval: stored('How often iptables rules are read again.', defaultsTo('180s', durationField)).optional(),
  nftablesRefreshInterval: stored('How often nftables rules are read again.', defaultsTo('180s', durationField)).optional(),
  iptablesPostWriteCheckInterval: stored(
    'So long after a change iptables rules are read again.',
    defaultsTo('5s', durationField),
  ).optional(),
  iptablesLockProbeInterval: stored('How often the lock of iptables is tried.', defaultsTo('50ms', durationField)).optional(),
  iptablesLockFilePath: stored('File of the lock of iptables.', defaultsTo('/run/xtables.lock', z.string())).optional(),
  iptablesLockTimeout: stored('So long the lock of iptables is waited for.', defaultsTo('0s', durationField)).optional(),
  ipsetsRefreshInterval: stored('How often sets of addresses are read again.', defaultsTo('90s', durationField)).optional(),
  maxIpsetSize: stored('Most members of an ipset.', defaultsTo(1_048_576, z.number().int())).optional(),
  xdpEnabled: stored('Whether XDP drops what untracked rules deny.', on).optional(),
  genericXDPEnabled: stored('Whether XDP is used on interfaces without a driver for it.', off).optional(),
  xdpRefreshInterval: stored('How often the state of XDP is read again.', defaultsTo('90s', durationField)).optional(),
  policySyncPathPrefix: stored('Where a proxy is told of policies.', z.string()).optional(),
  kubeNodePortRanges: stored('Ports of Kubernetes Services on hosts.', emptyIsKept(z.array(portRangeField))).optional(),
  metadataAddr: stored("OpenStack's server of metadata.", defaultsTo('127.0.0.1', z.string())).optional(),
  metadataPort: stored("Port of OpenStack's server of metadata.", defaultsTo(8775, z.number().int())).optional(),
  openstackRegion: stored('Region of OpenStack.', z.string()).optional(),
}

/** What decides how packets are filtered. */
export const FELIX_FILTERING = { ...verdicts, ...programming }
