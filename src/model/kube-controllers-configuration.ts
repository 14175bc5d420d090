import * as z from 'zod'
import type { Issue } from '../errors.ts'
import { cidrField, type DeepReadonly, durationField, selectorField, zeroIsAbsent } from './fields.ts'
import { checkLabels, checkOnlyDefault, isSubdomain } from './metadata.ts'
import type { Resource } from './resource.ts'

const enabled = z.enum(['Enabled', 'Disabled'])
const controller = z.object({ reconcilerPeriod: durationField.optional() })

const hostEndpoint = z.object({
  autoCreate: enabled.optional(),
  createDefaultHostEndpoint: enabled.optional(),
  templates: z
    .array(
      z.object({
        generateName: z.string().optional(),
        interfaceCIDRs: z.array(cidrField).optional(),
        interfacePattern: z.string().optional(),
        nodeSelector: selectorField.optional(),
        labels: z.record(z.string(), z.string()).optional(),
        annotations: z.record(z.string(), z.string()).optional(),
      }),
    )
    .optional(),
})

/** The spec of KubeControllersConfiguration `default`; without Kubernetes only automatic host endpoints mean something. */
export const kubeControllersConfigurationSpecSchema = z.object({
  logSeverityScreen: z.string().optional(),
  healthChecks: enabled.optional(),
  etcdV3CompactionPeriod: durationField.optional(),
  prometheusMetricsPort: z.number().int().optional(),
  controllers: z.object({
    node: z
      .object({
        reconcilerPeriod: durationField.optional(),
        syncLabels: enabled.optional(),
        hostEndpoint: hostEndpoint.optional(),
        leakGracePeriod: durationField.optional(),
      })
      .optional(),
    policy: controller.optional(),
    workloadEndpoint: controller.optional(),
    serviceAccount: controller.optional(),
    namespace: controller.optional(),
    loadBalancer: z.object({ assignIPs: z.enum(['AllServices', 'RequestedServicesOnly']).optional() }).optional(),
    policyMigration: z.object({ enabled: enabled.optional() }).optional(),
  }),
  debugProfilePort: zeroIsAbsent(z.number().int()).optional(),
})

export type KubeControllersConfigurationSpec = DeepReadonly<z.infer<typeof kubeControllersConfigurationSpecSchema>>

/** Says whether each host makes a host endpoint for itself. */
export type KubeControllersConfiguration = Resource<'KubeControllersConfiguration', KubeControllersConfigurationSpec>

/** What is wrong with a KubeControllersConfiguration beyond the shape of its fields. */
export function checkKubeControllersConfiguration(configuration: KubeControllersConfiguration): readonly Issue[] {
  const templates = configuration.spec.controllers.node?.hostEndpoint?.templates ?? []
  const faults = templates.flatMap((template, index) => {
    const path = `spec.controllers.node.hostEndpoint.templates[${index}]`
    return [
      ...checkLabels(template.labels, `${path}.labels`),
      ...(template.generateName === undefined || isSubdomain(template.generateName)
        ? []
        : [{ path: `${path}.generateName`, message: `${JSON.stringify(template.generateName)} can't be part of a name` }]),
    ]
  })
  return [...checkOnlyDefault(configuration), ...faults]
}
