import { type ClusterInformation, checkClusterInformation, clusterInformationSpecSchema } from './cluster-information.ts'
import { checkFelixConfiguration, type FelixConfiguration, felixConfigurationSpecSchema } from './felix-configuration.ts'
import { asGiven, GLOBAL_KIND, type KindInfos } from './kind-info.ts'
import {
  checkKubeControllersConfiguration,
  defaultKubeControllersSpec,
  type KubeControllersConfiguration,
  kubeControllersConfigurationSpecSchema,
  kubeControllersConfigurationStatusSchema,
} from './kube-controllers-configuration.ts'

/** The cluster, and the settings of what runs in it. */
export interface SettingsTypes {
  readonly ClusterInformation: ClusterInformation
  readonly FelixConfiguration: FelixConfiguration
  readonly KubeControllersConfiguration: KubeControllersConfiguration
}

/** Facts of the kinds of settings. */
export const SETTINGS_KINDS: KindInfos<SettingsTypes> = {
  ClusterInformation: {
    ...GLOBAL_KIND,
    kind: 'ClusterInformation',
    plural: 'clusterinformations',
    aliases: ['clusterinfo', 'clusterinfos'],
    specSchema: clusterInformationSpecSchema,
    defaults: asGiven,
    validate: checkClusterInformation,
    judgesParts: true,
  },
  FelixConfiguration: {
    ...GLOBAL_KIND,
    kind: 'FelixConfiguration',
    plural: 'felixconfigurations',
    aliases: ['felixconfig', 'felixconfigs'],
    specSchema: felixConfigurationSpecSchema,
    defaults: asGiven,
    validate: checkFelixConfiguration,
    judgesParts: true,
  },
  KubeControllersConfiguration: {
    ...GLOBAL_KIND,
    kind: 'KubeControllersConfiguration',
    plural: 'kubecontrollersconfigurations',
    aliases: ['kubecontrollersconfig', 'kubecontrollersconfigs'],
    specSchema: kubeControllersConfigurationSpecSchema,
    statusSchema: kubeControllersConfigurationStatusSchema,
    defaults: defaultKubeControllersSpec,
    validate: checkKubeControllersConfiguration,
    judgesParts: true,
  },
}
