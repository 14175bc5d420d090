import * as z from 'zod'

/**
 * Fields of FelixConfiguration for other data planes (eBPF, Windows) and other platforms: accepted and kept as they are,
 * because the same etcd may serve hosts that read them; none of them is read here,
 * so they are not in the type.
 */
export const FOREIGN_FELIX_FIELDS: Readonly<Record<never, z.ZodType>> = Object.fromEntries(
  `awsSrcDstCheck bpfAttachType bpfConnectTimeLoadBalancing bpfConnectTimeLoadBalancingEnabled bpfConntrackCleanupMode
  bpfConntrackLogLevel bpfConntrackTimeouts bpfCTLBLogFilter bpfDataIfacePattern bpfDisableGROForIfaces bpfDisableUnprivileged
  bpfDSROptoutCIDRs bpfEnabled bpfEnforceRPF bpfExcludeCIDRsFromNAT bpfExportBufferSizeMB bpfExtToServiceConnmark
  bpfExternalServiceMode bpfForceTrackPacketsFromIfaces bpfHostConntrackBypass bpfHostNetworkedNATWithoutCTLB bpfJITHardening
  bpfKubeProxyEndpointSlicesEnabled bpfKubeProxyHealthzPort bpfKubeProxyIptablesCleanupEnabled bpfKubeProxyMinSyncPeriod
  bpfL3IfacePattern bpfLogFilters bpfLogLevel bpfMapSizeConntrack bpfMapSizeConntrackCleanupQueue bpfMapSizeConntrackScaling
  bpfMapSizeIPSets bpfMapSizeIfState bpfMapSizeNATAffinity bpfMapSizeNATBackend bpfMapSizeNATFrontend bpfMapSizePerCpuConntrack
  bpfMapSizeRoute bpfPSNATPorts bpfPolicyDebugEnabled bpfProfiling bpfRedirectToPeer cgroupV2Path dataplaneDriver
  debugDisableLogDropping debugMemoryProfilePath debugSimulateCalcGraphHangAfter debugSimulateDataplaneApplyDelay
  debugSimulateDataplaneHangAfter flowLogsCollectorDebugTrace flowLogsFlushInterval flowLogsGoldmaneServer flowLogsLocalReporter
  flowLogsPolicyEvaluationMode goGCThreshold goMaxProcs goMemoryLimitMB istioAmbientMode istioDSCPMark sidecarAccelerationEnabled
  useInternalDataplaneDriver windowsManageFirewallRules`
    .split(/\s+/)
    .map((name) => [name, z.unknown().optional()]),
)
