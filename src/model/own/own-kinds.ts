import { asGiven, type KindInfos, NAMESPACED_KIND } from '../kind-info.ts'
import { CORE_VERSION } from '../resource.ts'
import { checkService, type Service, serviceSpecSchema } from './service.ts'

/** Kinds for which Calico has no place in etcd: they stand under keys of ours. */
export interface OwnTypes {
  readonly Service: Service
}

/** Their facts. */
export const OWN_KINDS: KindInfos<OwnTypes> = {
  Service: {
    ...NAMESPACED_KIND,
    kind: 'Service',
    apiVersion: CORE_VERSION,
    plural: 'services',
    aliases: ['svc', 'svcs'],
    specSchema: serviceSpecSchema,
    defaults: asGiven,
    validate: checkService,
    judgesParts: true,
  },
}
