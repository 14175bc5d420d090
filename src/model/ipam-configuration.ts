import * as z from 'zod'
import type { Issue } from '../errors.ts'
import { type DeepReadonly, defaultsTo, integerField, zeroIsAbsent } from './fields.ts'
import { checkOnlyDefault } from './metadata.ts'
import type { Resource } from './resource.ts'
import { stored } from './tags.ts'

/** The spec of IPAMConfiguration `default`. With etcd it decides nothing: allocation reads `/calico/ipam/v2/config` (ipam-config.ts). */
export const ipamConfigurationSpecSchema = z
  .object({
    strictAffinity: stored('Hosts take no address from blocks of others.', defaultsTo(false, z.boolean())).optional(),
    autoAllocateBlocks: stored('Hosts take blocks by themselves.', defaultsTo(true, z.boolean())).optional(),
    maxBlocksPerHost: stored(
      'Most blocks of one host; 0 for no limit.',
      defaultsTo(0, zeroIsAbsent(integerField(0, 1_000_000))),
    ).optional(),
    kubeVirtVMAddressPersistence: stored(
      'Virtual machines of KubeVirt keep their addresses.',
      defaultsTo('Enabled', z.enum(['Enabled', 'Disabled'])),
    ).optional(),
    ipCooldownSeconds: stored(
      'So long an address that was given back is not given out again.',
      defaultsTo(0, zeroIsAbsent(integerField(0, 1200))),
    ).optional(),
  })
  .meta({ effect: 'decides nothing with etcd, neither here nor in Calico: use "margay ipam configure"' })

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
