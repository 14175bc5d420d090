import { nearest } from '../model/issues.ts'
import type { AnyResource, ResourceKind } from '../model/kinds.ts'
import { DEFAULT_TIER } from '../model/policy.ts'
import { isObject, type JsonObject } from '../model/shape.ts'
import { UsageError } from './context.ts'

/** What columns need beside the resource itself. */
export interface ColumnFacts {
  /** The AS number of nodes that have none of their own, as BGPConfiguration `default` says. */
  readonly asNumber: number
  /** Numbers and absent members are shown as Go's templates show them: `1e+06`, `<nil>`. */
  readonly isCalicoctl: boolean
}

/** The members of a resource by name: tables show kinds alike, and a member that a kind does not have is an empty cell. */
interface Row {
  readonly metadata: AnyResource['metadata']
  readonly spec: JsonObject
}

type Cell = (row: Row, facts: ColumnFacts) => string

/** How one kind is shown: what there is to show, and which of it by default. */
interface KindTable {
  readonly cells: Readonly<Record<string, Cell>>
  readonly ps: readonly string[]
  readonly wide: readonly string[]
}

const NAME: Cell = ({ metadata }) => metadata.name
const NAMESPACE: Cell = ({ metadata }) => metadata.namespace ?? ''
/** So long a list of prefixes may be in a table, dots included. Characters. */
const MOST_LIST = 80

/** A member of the spec as it is; absent: empty. */
const text =
  (member: string, fallback = ''): Cell =>
  ({ spec }) =>
    String(spec[member] ?? fallback)
/** A member that Go holds by pointer: absent is told apart from empty. */
const pointer =
  (member: string): Cell =>
  ({ spec }, { isCalicoctl }) =>
    showNumber(spec[member] ?? (isCalicoctl ? '<nil>' : ''), isCalicoctl)
const orDash =
  (member: string): Cell =>
  ({ spec }) =>
    String(spec[member] ?? '-')
const list =
  (member: string): Cell =>
  ({ spec }) =>
    joinItems(spec[member])
const shortList =
  (member: string): Cell =>
  ({ spec }) =>
    truncate(joinItems(spec[member]))
const count =
  (member: string): Cell =>
  ({ spec }) =>
    String(Array.isArray(spec[member]) ? spec[member].length : 0)

/** A table of a kind whose columns stand in this order; those of `wideOnly` not in the narrow form, those of `extra` only when asked for. */
function table(cells: Readonly<Record<string, Cell>>, wideOnly: readonly string[] = [], extra: readonly string[] = []): KindTable {
  const wide = Object.keys(cells).filter((title) => title !== 'NAMESPACE' && !extra.includes(title))
  return { cells, wide, ps: wide.filter((title) => !wideOnly.includes(title)) }
}

const POLICY = { NAME, TIER: text('tier', DEFAULT_TIER), ORDER: pointer('order'), SELECTOR: text('selector') }
const POLICIES = table(POLICY, ['ORDER', 'SELECTOR'])
const NAMESPACED_POLICIES = table({ NAMESPACE, ...POLICY }, ['ORDER', 'SELECTOR'])

/** The columns of calicoctl, by kind; a kind that is not here has its name alone. */
const TABLES: Readonly<Partial<Record<string, KindTable>>> = {
  BGPConfiguration: table({
    NAME,
    LOGSEVERITY: text('logSeverityScreen'),
    MESHENABLED: orDash('nodeToNodeMeshEnabled'),
    ASNUMBER: orDash('asNumber'),
  }),
  BGPFilter: table({
    NAME,
    NUMEXPORTV4: count('exportV4'),
    NUMIMPORTV4: count('importV4'),
    NUMEXPORTV6: count('exportV6'),
    NUMIMPORTV6: count('importV6'),
  }),
  BGPPeer: table({
    NAME,
    PEERIP: text('peerIP'),
    NODE: ({ spec }) => String(spec['node'] || spec['nodeSelector'] || '(global)'),
    ASN: text('asNumber', '0'),
  }),
  CalicoNodeStatus: table({ NAME, NODE: text('node'), CLASSES: list('classes') }, ['CLASSES']),
  ClusterInformation: table({
    NAME,
    CLUSTERGUID: text('clusterGUID'),
    CLUSTERTYPE: text('clusterType'),
    CALICOVERSION: text('calicoVersion'),
    DATASTOREREADY: text('datastoreReady', 'false'),
  }),
  GlobalNetworkPolicy: POLICIES,
  GlobalNetworkSet: table({ NAME, NETS: shortList('nets') }, ['NETS']),
  HostEndpoint: table(
    { NAME, NODE: text('node'), INTERFACE: text('interfaceName'), IPS: list('expectedIPs'), PROFILES: list('profiles') },
    ['INTERFACE', 'IPS', 'PROFILES'],
  ),
  IPAMConfiguration: table(
    {
      NAME,
      STRICTAFFINITY: text('strictAffinity', 'false'),
      AUTOALLOCATEBLOCKS: text('autoAllocateBlocks', 'true'),
      MAXBLOCKSPERHOST: text('maxBlocksPerHost', '0'),
    },
    ['MAXBLOCKSPERHOST'],
  ),
  IPPool: table(
    {
      NAME,
      CIDR: text('cidr'),
      NAT: text('natOutgoing', 'false'),
      IPIPMODE: text('ipipMode', 'Never'),
      VXLANMODE: text('vxlanMode', 'Never'),
      DISABLED: text('disabled', 'false'),
      DISABLEBGPEXPORT: text('disableBGPExport', 'false'),
      SELECTOR: text('nodeSelector', 'all()'),
      ASSIGNMENTMODE: text('assignmentMode', 'Automatic'),
    },
    ['NAT', 'IPIPMODE', 'VXLANMODE', 'DISABLED', 'DISABLEBGPEXPORT', 'ASSIGNMENTMODE'],
  ),
  IPReservation: table({ NAME, CIDRS: shortList('reservedCIDRs') }, ['CIDRS']),
  NetworkPolicy: NAMESPACED_POLICIES,
  NetworkSet: table({ NAMESPACE, NAME, NETS: shortList('nets') }, ['NETS']),
  Node: table(
    {
      NAME,
      ASN: ({ spec }, { asNumber }) => (isObject(spec['bgp']) ? String(spec['bgp']['asNumber'] ?? `(${asNumber})`) : ''),
      IPV4: ({ spec }) => memberOf(spec['bgp'], 'ipv4Address'),
      IPV6: ({ spec }) => memberOf(spec['bgp'], 'ipv6Address'),
    },
    ['ASN', 'IPV4', 'IPV6'],
  ),
  Profile: table({ NAME, LABELS: ({ spec }) => joinLabels(spec['labelsToApply']) }, ['LABELS']),
  Service: table(
    {
      NAMESPACE,
      NAME,
      CLUSTERIP: text('clusterIP'),
      PORTS: ({ spec }) => asList(spec['ports']).map(showPort).join(','),
      SELECTOR: ({ spec }) => joinLabels(spec['selector']),
    },
    ['SELECTOR'],
  ),
  StagedGlobalNetworkPolicy: POLICIES,
  StagedKubernetesNetworkPolicy: table({ NAMESPACE, NAME, PODSELECTOR: ({ spec }) => showPodSelector(spec['podSelector']) }, [
    'PODSELECTOR',
  ]),
  StagedNetworkPolicy: NAMESPACED_POLICIES,
  Tier: table({ NAME, ORDER: pointer('order') }),
  WorkloadEndpoint: table(
    {
      NAMESPACE,
      NAME,
      WORKLOAD: ({ spec }) => String(spec['workload'] || spec['pod'] || ''),
      NODE: text('node'),
      NETWORKS: list('ipNetworks'),
      INTERFACE: text('interfaceName'),
      PROFILES: list('profiles'),
      NATS: ({ spec }) => asList(spec['ipNATs']).map(showNat).join(','),
      ORCHESTRATOR: text('orchestrator'),
    },
    ['NAME', 'PROFILES', 'NATS'],
    ['ORCHESTRATOR'],
  ),
}

/** How resources of one kind are shown as a table. */
export interface Listing {
  readonly kind: ResourceKind
  readonly resources: readonly AnyResource[]
  /** The narrow columns, the wide ones, or those of these titles; a title may be `TITLE:.path.to.member`. */
  readonly columns: 'ps' | 'wide' | readonly string[]
  readonly withNamespace: boolean
  readonly facts: ColumnFacts
}

/**
 * The header and the rows of a table of resources of one kind.
 *
 * @throws {UsageError} naming the columns that the kind has, for one that it does not have
 */
export function tableOf({ kind, resources, columns, withNamespace, facts }: Listing): {
  readonly header: readonly string[]
  readonly rows: readonly (readonly string[])[]
} {
  const of = TABLES[kind] ?? table({ NAME })
  const asked = typeof columns === 'string' ? of[columns] : columns
  const isNamespaceShown = withNamespace && of.cells['NAMESPACE'] !== undefined && !asked.includes('NAMESPACE')
  const shown = [...(isNamespaceShown ? ['NAMESPACE'] : []), ...asked].map((title) => columnFor(kind, of, title))
  return {
    header: shown.map(([title]) => title),
    rows: resources.map((resource) => shown.map(([, cell]) => cell({ metadata: resource.metadata, spec: specOf(resource) }, facts))),
  }
}

/** A resource's spec, whose members are read by name. */
function specOf(resource: AnyResource): JsonObject {
  const spec: unknown = resource.spec
  return isObject(spec) ? spec : {}
}

function columnFor(kind: ResourceKind, of: KindTable, asked: string): readonly [title: string, cell: Cell] {
  const [title = '', path] = asked.split(/:(.*)/s)
  if (path !== undefined) return [title, pathCell(path)]
  const cell = Object.hasOwn(of.cells, title.toUpperCase()) ? of.cells[title.toUpperCase()] : undefined
  if (cell !== undefined) return [title.toUpperCase(), cell]
  const known = Object.keys(of.cells)
  const near = nearest(title, known)
  const hint = near === undefined ? '' : `, did you mean ${JSON.stringify(near)}?`
  throw new UsageError(
    `${kind} has no column ${JSON.stringify(title)}${hint}; it has ${known.join(', ')}, and any member as TITLE:.spec.member`,
  )
}

/** `.spec.bgp.asNumber`, also with braces around it as kubectl takes it; absent is `<none>` there and here. */
function pathCell(path: string): Cell {
  const parts = path
    .replace(/^\{(.*)\}$/, '$1')
    .split('.')
    .filter((part) => part !== '')
  return (row) => {
    const found = parts.reduce<unknown>((value, part) => (isObject(value) && Object.hasOwn(value, part) ? value[part] : undefined), row)
    if (found === undefined || found === null) return '<none>'
    return Array.isArray(found) ? found.map(showValue).join(',') : showValue(found)
  }
}

function showValue(value: unknown): string {
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}

function joinItems(value: unknown): string {
  return asList(value).map(String).join(',')
}

function asList(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}

function truncate(joined: string): string {
  return joined.length <= MOST_LIST ? joined : `${joined.slice(0, MOST_LIST - 3)}...`
}

function memberOf(value: unknown, member: string): string {
  return isObject(value) ? String(value[member] ?? '') : ''
}

function joinLabels(value: unknown): string {
  const labels = isObject(value) ? Object.entries(value) : []
  return labels
    .map(([key, each]) => `${key}=${each}`)
    .sort()
    .join(',')
}

function showNat(value: unknown): string {
  return `${memberOf(value, 'internalIP')}:${memberOf(value, 'externalIP')}`
}

/** `80/TCP`, as kubectl shows the port of a service. */
function showPort(value: unknown): string {
  return `${memberOf(value, 'port')}/${memberOf(value, 'protocol') || 'TCP'}`
}

function showPodSelector(value: unknown): string {
  if (!isObject(value)) return ''
  const expressions = asList(value['matchExpressions']).map((each) =>
    [memberOf(each, 'key'), memberOf(each, 'operator'), isObject(each) ? joinItems(each['values']) : ''].join(' ').trim(),
  )
  return [joinLabels(value['matchLabels']), ...expressions].filter((part) => part !== '').join(',')
}

/** A number; for calicoctl's sake as Go prints a float64, which has an exponent of two digits from a million on: `1e+06`. */
function showNumber(value: unknown, isCalicoctl: boolean): string {
  if (!isCalicoctl || typeof value !== 'number' || Math.abs(value) < 1e6) return String(value)
  return value.toExponential().replace(/e\+(\d)$/, 'e+0$1')
}
