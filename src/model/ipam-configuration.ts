import * as z from 'zod'
import type { Issue } from '../errors.ts'
import { type DeepReadonly, integerField, zeroIsAbsent } from './fields.ts'
import { checkOnlyDefault } from './metadata.ts'
import type { Resource } from './resource.ts'

/** The spec of IPAMConfiguration `default`. With etcd it decides nothing: allocation reads `/calico/ipam/v2/config` (ipam-config.ts). */
export const ipamConfigurationSpecSchema = z.object({
  strictAffinity: z.boolean().optional(),
  autoAllocateBlocks: z.boolean().optional(),
  maxBlocksPerHost: zeroIsAbsent(integerField(0, 1_000_000)).optional(),
  kubeVirtVMAddressPersistence: z.enum(['Enabled', 'Disabled']).optional(),
  ipCooldownSeconds: zeroIsAbsent(integerField(0, 1200)).optional(),
})

export type IPAMConfigurationSpec = DeepReadonly<z.infer<typeof ipamConfigurationSpecSchema>>

/** Calico's resource of the same name as the record that counts; kept for its clients. */
export type IPAMConfiguration = Resource<'IPAMConfiguration', IPAMConfigurationSpec>

/** The spec with Calico's defaults. */
export function defaultIPAMConfigurationSpec(spec: IPAMConfigurationSpec): IPAMConfigurationSpec {
  return { ...spec, strictAffinity: spec.strictAffinity ?? false, autoAllocateBlocks: spec.autoAllocateBlocks ?? true }
}

/** What is wrong with an IPAMConfiguration beyond the shape of its fields. */
export function checkIPAMConfiguration(configuration: IPAMConfiguration): readonly Issue[] {
  return checkOnlyDefault(configuration)
}
