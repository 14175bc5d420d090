import * as z from 'zod'
import type { Issue } from '../errors.ts'
import { type DeepReadonly, defaultsTo, durationField, integerField, netField, patternField, selectorField, wordField } from './fields.ts'
import { checkAnnotationKey, checkLabels, checkOnlyDefault, isSubdomain } from './metadata.ts'
import type { Resource } from './resource.ts'
import { soundEntries } from './sound-parts.ts'
import { enforced, stored } from './tags.ts'

const SEVERITIES = ['None', 'Debug', 'Info', 'Warning', 'Error', 'Fatal', 'Panic'] as const

const enabled = z.enum(['Enabled', 'Disabled'])
const yes = defaultsTo('Enabled', enabled)
const no = defaultsTo('Disabled', enabled)
const portField = integerField(0, 65_535)
const controller = (what: string) =>
  z.object({ reconcilerPeriod: stored(`How often Calico's controller compares ${what}.`, defaultsTo('5m0s', durationField)).optional() })

const hostEndpoint = z.object({
  autoCreate: enforced('Whether each host makes and keeps a host endpoint for itself.', no).optional(),
  createDefaultHostEndpoint: enforced('Whether that is one of all interfaces; else there are only those of templates.', yes).optional(),
  templates: z
    .array(
      z.object({
        generateName: enforced('Stands in the name of the host endpoint, after that of the host.', z.string()).optional(),
        interfaceCIDRs: enforced('Only addresses in these prefixes are expected.', z.array(netField)).optional(),
        interfacePattern: enforced('A host endpoint for each interface whose name matches.', patternField).optional(),
        labels: enforced('Labels of the host endpoint, over those of the Node.', z.record(z.string(), z.string())).optional(),
        annotations: enforced('Annotations of the host endpoint.', z.record(z.string(), z.string())).optional(),
        nodeSelector: enforced('The hosts that the template is for.', selectorField).optional(),
      }),
    )
    .optional(),
})

/** The spec of KubeControllersConfiguration `default`; without Kubernetes only automatic host endpoints mean something. */
export const kubeControllersConfigurationSpecSchema = z.object({
  logSeverityScreen: stored("How much Calico's controllers log.", defaultsTo('Info', wordField(SEVERITIES))).optional(),
  healthChecks: stored("Whether Calico's controllers tell of their health.", yes).optional(),
  etcdV3CompactionPeriod: stored('How often etcd is compacted; 0 for never.', defaultsTo('10m0s', durationField)).optional(),
  prometheusMetricsPort: stored("Port of the controllers' metrics; 0 for none.", defaultsTo(9094, portField)).optional(),
  controllers: z
    .object({
      node: z
        .object({
          reconcilerPeriod: stored('How often Nodes are compared with those of Kubernetes.', defaultsTo('5m0s', durationField)).optional(),
          syncLabels: stored('Whether Nodes get the labels that Kubernetes has.', yes).optional(),
          hostEndpoint: hostEndpoint.optional(),
          leakGracePeriod: stored(
            'So long an address without a workload is left alone; margay has a setting of its own.',
            defaultsTo('15m0s', durationField),
          ).optional(),
        })
        .optional(),
      policy: controller('policies').optional(),
      workloadEndpoint: controller('workload endpoints').optional(),
      serviceAccount: controller('service accounts').optional(),
      namespace: controller('namespaces').optional(),
      loadBalancer: z
        .object({
          assignIPs: stored(
            'Which Services get an address of a load balancer.',
            defaultsTo('AllServices', z.enum(['AllServices', 'RequestedServicesOnly'])),
          ).optional(),
        })
        .optional(),
      policyMigration: z.object({ enabled: stored('Whether policies with names of the old form are renamed.', yes).optional() }).optional(),
    })
    .optional(),
  debugProfilePort: stored('Port at which the controllers can be profiled.', portField).optional(),
})

/** What Calico's controllers say of their settings. */
export const kubeControllersConfigurationStatusSchema = z.object({
  runningConfig: stored('The settings that the controllers run with.', z.unknown()).optional(),
  environmentVars: stored('Variables of the environment that changed them.', z.record(z.string(), z.string())).optional(),
})

export type KubeControllersConfigurationSpec = DeepReadonly<z.infer<typeof kubeControllersConfigurationSpecSchema>>

/** Says whether each host makes a host endpoint for itself. */
export type KubeControllersConfiguration = Resource<'KubeControllersConfiguration', KubeControllersConfigurationSpec>

/** The spec with Calico's defaults, which stand inside of what is given only; `controllers` itself is always written. */
export function defaultKubeControllersSpec(spec: KubeControllersConfigurationSpec): KubeControllersConfigurationSpec {
  const { loadBalancer, policyMigration } = spec.controllers ?? {}
  const controllers = {
    ...spec.controllers,
    ...(loadBalancer === undefined ? {} : { loadBalancer: { assignIPs: 'AllServices', ...loadBalancer } as const }),
    ...(policyMigration === undefined ? {} : { policyMigration: { enabled: 'Enabled', ...policyMigration } as const }),
  }
  return { ...spec, healthChecks: spec.healthChecks ?? 'Enabled', controllers }
}

/** What is wrong with a KubeControllersConfiguration beyond the shape of its fields. */
export function checkKubeControllersConfiguration(configuration: KubeControllersConfiguration): readonly Issue[] {
  const templates = soundEntries(configuration.spec.controllers?.node?.hostEndpoint?.templates)
  const faults = templates.flatMap(([index, template]) => checkTemplate(template, `spec.controllers.node.hostEndpoint.templates[${index}]`))
  return [...checkOnlyDefault(configuration), ...faults]
}

type Controllers = NonNullable<KubeControllersConfigurationSpec['controllers']>
type Template = NonNullable<NonNullable<Controllers['node']>['hostEndpoint']>['templates']

function checkTemplate(template: NonNullable<Template>[number], path: string): readonly Issue[] {
  const { labels, annotations, generateName, interfaceCIDRs = [], interfacePattern } = template
  const issues = [...checkLabels(labels, `${path}.labels`)]
  for (const key of Object.keys(annotations ?? {})) {
    const message = checkAnnotationKey(key)
    if (message !== undefined) issues.push({ path: `${path}.annotations.${key}`, message })
  }
  if (generateName !== undefined && !isSubdomain(generateName)) {
    issues.push({ path: `${path}.generateName`, message: `${JSON.stringify(generateName)} can't be part of a name` })
  }
  if (interfaceCIDRs.length === 0 && interfacePattern === undefined) {
    issues.push({ path, message: 'needs interfaceCIDRs or interfacePattern: which addresses or interfaces it is for' })
  }
  return issues
}
