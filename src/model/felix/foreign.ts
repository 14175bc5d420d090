import * as z from 'zod'
import { durationField, emptyIsKept, integerField, netField, patternField, portRangeField, shownAs, wordField } from '../fields.ts'
import { stored } from '../tags.ts'
import { interfaceFilterField } from './interface-field.ts'

const flag = (description: string) => stored(description, z.boolean()).optional()
const text = (description: string) => stored(description, z.string()).optional()
const size = (description: string) => stored(description, integerField(0, 0xffff_ffff)).optional()
const duration = (description: string) => stored(description, durationField).optional()
const pattern = (description: string) => stored(description, patternField).optional()
const prefixes = (description: string) => stored(description, emptyIsKept(z.array(netField))).optional()
const words = (description: string, choice: readonly string[]) => stored(description, wordField(choice)).optional()
const onOff = (description: string) => words(description, ['Enabled', 'Disabled'])
/** -1 stands for none. */
const limit = (description: string) => stored(description, integerField(-1, 0x7fff_ffff)).optional()
const timeout = (description: string) => stored(description, shownAs('duration or `Auto`', undefined, z.string())).optional()

/** Calico's data plane of eBPF programs. */
const bpf = {
  bpfEnabled: flag('Whether Calico filters with eBPF programs.'),
  bpfDisableUnprivileged: flag('Whether others than root are kept from eBPF.'),
  bpfLogLevel: words('How much eBPF programs log.', ['Off', 'Info', 'Debug']),
  bpfConntrackLogLevel: words('How much the cleaning of connections logs.', ['Off', 'Debug']),
  bpfConntrackCleanupMode: words('Who cleans connections up.', ['Auto', 'Userspace', 'BPFProgram']),
  bpfConntrackMode: words('Who cleans connections up.', ['Auto', 'Userspace', 'BPFProgram']),
  bpfConntrackTimeouts: z
    .object({
      creationGracePeriod: timeout('So long a new connection is left alone.'),
      tcpSynSent: timeout('So long a TCP connection may open.'),
      tcpEstablished: timeout('So long a TCP connection may be idle.'),
      tcpFinsSeen: timeout('So long a TCP connection that was closed is remembered.'),
      tcpResetSeen: timeout('So long a TCP connection that was reset is remembered.'),
      udpTimeout: timeout('So long a UDP connection may be idle.'),
      genericTimeout: timeout('So long another connection may be idle.'),
      icmpTimeout: timeout('So long an ICMP exchange may be idle.'),
    })
    .optional(),
  bpfLogFilters: stored('Which packets eBPF programs log, by interface.', z.record(z.string(), z.string())).optional(),
  bpfCTLBLogFilter: text('What the balancer at connect time logs.'),
  bpfDataIfacePattern: pattern('Interfaces towards the network.'),
  bpfL3IfacePattern: pattern('Tunnels of others towards the network.'),
  bpfConnectTimeLoadBalancingEnabled: flag('Whether Services are resolved at connect time; old form of bpfConnectTimeLoadBalancing.'),
  bpfConnectTimeLoadBalancing: words('Whether Services are resolved at connect time.', ['TCP', 'Enabled', 'Disabled']),
  bpfHostNetworkedNATWithoutCTLB: onOff('Whether hosts reach Services by NAT.'),
  bpfExternalServiceMode: words('How answers to clients outside go back.', ['Tunnel', 'DSR']),
  bpfDSROptoutCIDRs: prefixes('Clients that are answered through the tunnel.'),
  bpfExtToServiceConnmark: size('Mark of connections from outside to Services.'),
  bpfKubeProxyIptablesCleanupEnabled: flag("Whether kube-proxy's rules are removed."),
  bpfKubeProxyMinSyncPeriod: duration('Least time between two changes of Services.'),
  bpfKubeProxyEndpointSlicesEnabled: flag('No longer does anything.'),
  bpfKubeProxyHealthzPort: size('Port at which kube-proxy would tell of its health.'),
  bpfPSNATPorts: stored('Ports that are taken where two connections have the same.', portRangeField).optional(),
  bpfMapSizeNATFrontend: size('Size of the map of Services.'),
  bpfMapSizeNATBackend: size('Size of the map of endpoints of Services.'),
  bpfMapSizeNATAffinity: size('Size of the map of clients that stay with an endpoint.'),
  bpfMapSizeRoute: size('Size of the map of routes.'),
  bpfMapSizeConntrack: size('Size of the map of connections.'),
  bpfMapSizePerCpuConntrack: size('Size of the map of connections for each processor.'),
  bpfMapSizeConntrackScaling: words('Whether the map of connections grows.', ['Disabled', 'DoubleIfFull']),
  bpfMapSizeConntrackCleanupQueue: size('Size of the queue of connections to clean up.'),
  bpfMapSizeIPSets: size('Size of the map of sets of addresses.'),
  bpfMapSizeIfState: size('Size of the map of interfaces.'),
  bpfHostConntrackBypass: flag("Whether the kernel's tracking of connections is left out."),
  bpfEnforceRPF: words('How strictly the source of packets is checked.', ['Disabled', 'Strict', 'Loose']),
  bpfPolicyDebugEnabled: flag('Whether programs of policies can be looked at.'),
  bpfForceTrackPacketsFromIfaces: stored(
    'Interfaces whose packets the kernel tracks.',
    emptyIsKept(z.array(interfaceFilterField)),
  ).optional(),
  bpfDisableGROForIfaces: pattern('Interfaces that do not join packets on arrival.'),
  bpfExcludeCIDRsFromNAT: prefixes('Services that are left to the host.'),
  bpfExportBufferSizeMB: size('Size of the buffer of events.'),
  bpfRedirectToPeer: words('Whether packets go straight into the workload.', ['Enabled', 'Disabled', 'L2Only']),
  bpfProfiling: onOff('Whether programs are measured.'),
  bpfAttachType: words('How programs are attached.', ['TCX', 'TC']),
  bpfJITHardening: words("How the kernel's compiler of programs is set.", ['Auto', 'Strict']),
  bpfMaglevMaxEndpointsPerService: size('Most endpoints of a Service that are balanced by Maglev.'),
  bpfMaglevMaxServices: size('Most Services that are balanced by Maglev.'),
  cgroupV2Path: text('Where control groups are mounted.'),
}

/** Calico's flow logs, its runtime and other platforms. */
const others = {
  useInternalDataplaneDriver: flag('Whether the agent programs the kernel itself.'),
  dataplaneDriver: text('Program that programs the kernel in its place.'),
  debugMemoryProfilePath: text('File for profiles of memory.'),
  debugDisableLogDropping: flag('Whether log lines are never dropped.'),
  debugSimulateCalcGraphHangAfter: duration('Makes the agent hang, for tests.'),
  debugSimulateDataplaneHangAfter: duration('Makes the agent hang, for tests.'),
  debugSimulateDataplaneApplyDelay: duration('Makes the agent slow, for tests.'),
  sidecarAccelerationEnabled: flag('Whether sockets of sidecars are joined.'),
  flowLogsPolicyEvaluationMode: words('Whether flows are judged again when policies change.', ['None', 'Continuous']),
  flowLogsFlushInterval: duration('How often flow logs are sent.'),
  flowLogsCollectorDebugTrace: flag('Whether flow logs are logged whole.'),
  flowLogsGoldmaneServer: text('Server that flow logs are sent to.'),
  flowLogsLocalReporter: onOff('Whether flow logs are offered on a local socket.'),
  awsSrcDstCheck: words('Whether EC2 checks addresses of packets.', ['DoNothing', 'Enable', 'Disable']),
  windowsManageFirewallRules: onOff("Whether Windows' firewall gets rules."),
  goGCThreshold: limit("Growth at which Go's runtime collects garbage, per cent."),
  goMemoryLimitMB: limit("Memory that Go's runtime tries to stay under, MB."),
  goMaxProcs: limit("Processors that Go's runtime uses."),
  istioAmbientMode: onOff("Whether Istio's ambient mode is supported."),
  istioDSCPMark: stored("Mark of Istio's packets.", integerField(0, 63)).optional(),
}

/**
 * Fields of FelixConfiguration for other data planes (eBPF, Windows) and other platforms: checked and kept, because the same etcd may
 * serve hosts that read them; none of them is read here, so they are not in the type.
 */
export const FELIX_FOREIGN: Readonly<Record<never, z.ZodType>> = { ...bpf, ...others }
