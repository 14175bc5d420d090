import type { AnyResource, ResourceKind, ResourceTypes } from '../model/kinds.ts'
import { DEFAULT_TIER, type PolicySpec } from '../model/policy.ts'

/** What columns need beside the resource itself. */
export interface ColumnFacts {
  /** The AS number of nodes that have none of their own, as BGPConfiguration `default` says. */
  readonly asNumber: number
}

/** One column of `margay get`, as calicoctl has it. */
interface Column<R> {
  readonly title: string
  /** Shown in which format; in both unless given. */
  readonly only?: 'wide'
  cell(resource: R, facts: ColumnFacts): string
}

const name: Column<AnyResource> = { title: 'NAME', cell: ({ metadata }) => metadata.name }

const COLUMNS: { readonly [K in ResourceKind]: readonly Column<ResourceTypes[K]>[] } = {
  Node: [
    name,
    {
      title: 'ASN',
      only: 'wide',
      cell: ({ spec }, { asNumber }) => (spec.bgp?.asNumber === undefined ? `(${asNumber})` : String(spec.bgp.asNumber)),
    },
    { title: 'IPV4', only: 'wide', cell: ({ spec }) => spec.bgp?.ipv4Address ?? '' },
    { title: 'IPV6', only: 'wide', cell: ({ spec }) => spec.bgp?.ipv6Address ?? '' },
  ],
  IPPool: [
    name,
    { title: 'CIDR', cell: ({ spec }) => spec.cidr },
    { title: 'NAT', only: 'wide', cell: ({ spec }) => String(spec.natOutgoing ?? false) },
    { title: 'IPIPMODE', only: 'wide', cell: ({ spec }) => spec.ipipMode ?? 'Never' },
    { title: 'VXLANMODE', only: 'wide', cell: ({ spec }) => spec.vxlanMode ?? 'Never' },
    { title: 'DISABLED', only: 'wide', cell: ({ spec }) => String(spec.disabled ?? false) },
    { title: 'DISABLEBGPEXPORT', only: 'wide', cell: ({ spec }) => String(spec.disableBGPExport ?? false) },
    { title: 'SELECTOR', cell: ({ spec }) => spec.nodeSelector ?? 'all()' },
    { title: 'ASSIGNMENTMODE', only: 'wide', cell: ({ spec }) => spec.assignmentMode ?? 'Automatic' },
  ],
  WorkloadEndpoint: [
    { ...name, only: 'wide' },
    { title: 'WORKLOAD', cell: ({ spec }) => spec.pod ?? spec.workload ?? '' },
    { title: 'NODE', cell: ({ spec }) => spec.node ?? '' },
    { title: 'NETWORKS', cell: ({ spec }) => (spec.ipNetworks ?? []).join(',') },
    { title: 'INTERFACE', cell: ({ spec }) => spec.interfaceName ?? '' },
    { title: 'PROFILES', only: 'wide', cell: ({ spec }) => (spec.profiles ?? []).join(',') },
    { title: 'NATS', only: 'wide', cell: ({ spec }) => (spec.ipNATs ?? []).map((nat) => `${nat.internalIP}:${nat.externalIP}`).join(',') },
  ],
  ClusterInformation: [
    name,
    { title: 'CLUSTERGUID', cell: ({ spec }) => spec.clusterGUID ?? '' },
    { title: 'CLUSTERTYPE', cell: ({ spec }) => spec.clusterType ?? '' },
    { title: 'CALICOVERSION', cell: ({ spec }) => spec.calicoVersion ?? '' },
    { title: 'DATASTOREREADY', cell: ({ spec }) => String(spec.datastoreReady ?? false) },
  ],
  Tier: [name, { title: 'ORDER', cell: ({ spec }) => String(spec.order ?? '') }],
  Profile: [
    name,
    {
      title: 'LABELS',
      only: 'wide',
      cell: ({ spec }) =>
        Object.entries(spec.labelsToApply ?? {})
          .map(([key, value]) => `${key}=${value}`)
          .join(','),
    },
  ],
  FelixConfiguration: [name],
  BGPConfiguration: [
    name,
    { title: 'LOGSEVERITY', cell: ({ spec }) => spec.logSeverityScreen ?? '' },
    { title: 'MESHENABLED', cell: ({ spec }) => String(spec.nodeToNodeMeshEnabled ?? '') },
    { title: 'ASNUMBER', cell: ({ spec }) => String(spec.asNumber ?? '') },
  ],
  KubeControllersConfiguration: [name],
  BGPPeer: [
    name,
    { title: 'PEERIP', cell: ({ spec }) => spec.peerIP ?? '' },
    { title: 'NODE', cell: ({ spec }) => spec.node ?? spec.nodeSelector ?? '(global)' },
    { title: 'ASN', cell: ({ spec }) => String(spec.asNumber ?? 0) },
  ],
  BGPFilter: [
    name,
    { title: 'NUMEXPORTV4', cell: ({ spec }) => String((spec.exportV4 ?? []).length) },
    { title: 'NUMIMPORTV4', cell: ({ spec }) => String((spec.importV4 ?? []).length) },
    { title: 'NUMEXPORTV6', cell: ({ spec }) => String((spec.exportV6 ?? []).length) },
    { title: 'NUMIMPORTV6', cell: ({ spec }) => String((spec.importV6 ?? []).length) },
  ],
  CalicoNodeStatus: [
    name,
    { title: 'NODE', cell: ({ spec }) => spec.node },
    { title: 'CLASSES', only: 'wide', cell: ({ spec }) => spec.classes.join(',') },
  ],
  IPReservation: [name, { title: 'CIDRS', only: 'wide', cell: ({ spec }) => (spec.reservedCIDRs ?? []).join(',') }],
  GlobalNetworkPolicy: policyColumns(),
  NetworkPolicy: policyColumns(),
  StagedGlobalNetworkPolicy: policyColumns(),
  StagedNetworkPolicy: policyColumns(),
  GlobalNetworkSet: [name, { title: 'NETS', only: 'wide', cell: ({ spec }) => (spec.nets ?? []).join(',') }],
  NetworkSet: [name, { title: 'NETS', cell: ({ spec }) => (spec.nets ?? []).join(',').slice(0, 80) }],
  HostEndpoint: [
    name,
    { title: 'NODE', cell: ({ spec }) => spec.node ?? '' },
    { title: 'INTERFACE', only: 'wide', cell: ({ spec }) => spec.interfaceName ?? '' },
    { title: 'IPS', only: 'wide', cell: ({ spec }) => (spec.expectedIPs ?? []).join(',') },
    { title: 'PROFILES', only: 'wide', cell: ({ spec }) => (spec.profiles ?? []).join(',') },
  ],
  IPAMConfiguration: [
    name,
    { title: 'STRICTAFFINITY', cell: ({ spec }) => String(spec.strictAffinity ?? false) },
    { title: 'AUTOALLOCATEBLOCKS', cell: ({ spec }) => String(spec.autoAllocateBlocks ?? true) },
    { title: 'MAXBLOCKSPERHOST', only: 'wide', cell: ({ spec }) => String(spec.maxBlocksPerHost ?? '') },
  ],
}

/** The columns that all kinds of policies have; hoisted, so that the table above can use it. */
function policyColumns(): readonly Column<{ readonly metadata: AnyResource['metadata']; readonly spec: PolicySpec }>[] {
  return [
    { title: 'NAME', cell: ({ metadata }) => metadata.name },
    { title: 'TIER', cell: ({ spec }) => spec.tier ?? DEFAULT_TIER },
    { title: 'ORDER', only: 'wide', cell: ({ spec }) => String(spec.order ?? '') },
    { title: 'SELECTOR', only: 'wide', cell: ({ spec }) => spec.selector ?? '' },
  ]
}

/** How resources of one kind are shown as a table. */
export interface Listing {
  readonly kind: ResourceKind
  readonly resources: readonly AnyResource[]
  readonly isWide: boolean
  readonly withNamespace: boolean
  readonly facts: ColumnFacts
}

/** The header and the rows of a table of resources of one kind. */
export function tableOf({ kind, resources, isWide, withNamespace, facts }: Listing): {
  readonly header: readonly string[]
  readonly rows: readonly (readonly string[])[]
} {
  // Each kind's columns read its own resources, and these are all of that kind.
  const columns = (COLUMNS[kind] as readonly Column<AnyResource>[]).filter((column) => isWide || column.only === undefined)
  const namespace: readonly Column<AnyResource>[] = withNamespace
    ? [{ title: 'NAMESPACE', cell: ({ metadata }) => metadata.namespace ?? '' }]
    : []
  const shown = [...namespace, ...columns]
  return {
    header: shown.map((column) => column.title),
    rows: resources.map((resource) => shown.map((column) => column.cell(resource, facts))),
  }
}
