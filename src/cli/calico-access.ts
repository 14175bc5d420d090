import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { parse } from 'yaml'
import * as z from 'zod'
import { describeError, ValidationError } from '../errors.ts'
import { describeIssues, faultsOf } from '../model/issues.ts'
import { findUnknown, withoutAbsent } from '../model/shape.ts'
import { readText } from './files.ts'

/** Where calicoctl looks for its configuration unless it is told another place. */
export const CALICOCTL_CONFIG = '/etc/calico/calicoctl.cfg'

/** How to reach etcd, as Calico's clients are told. */
export interface CalicoAccess {
  /** For messages: the file, or the environment. */
  readonly source: string
  /** Values of our keys `etcd.<key>`. */
  readonly keys: Readonly<Record<string, string>>
  /** What stands in the file itself and that we take from files only, by the key that names such a file. */
  readonly secrets: Readonly<Record<string, string>>
}

const text = z.string().optional()

/** The document `CalicoAPIConfig`; what is for Kubernetes alone is known, so that it is no typing error, and has no effect. */
const schema = z.object({
  apiVersion: z.literal('projectcalico.org/v3'),
  kind: z.literal('CalicoAPIConfig'),
  metadata: z.looseObject({}).optional(),
  spec: z.object({
    datastoreType: text,
    ...{ etcdEndpoints: text, etcdDiscoverySrv: text, etcdUsername: text, etcdPassword: text },
    ...{ etcdKeyFile: text, etcdCertFile: text, etcdCACertFile: text, etcdKey: text, etcdCert: text, etcdCACert: text },
    ...{ kubeconfig: text, kubeconfigInline: text, k8sAPIEndpoint: text, k8sKeyFile: text, k8sCertFile: text, k8sCAFile: text },
    ...{ k8sAPIToken: text, k8sCurrentContext: text, calicoAPIGroup: text, k8sClientQPS: z.number().optional() },
    ...{
      k8sInsecureSkipTLSVerify: z.boolean().optional(),
      k8sDisableNodePoll: z.boolean().optional(),
      k8sUsePodCIDR: z.boolean().optional(),
    },
  }),
})

type Spec = z.infer<typeof schema>['spec']

/** Whether a text is a CalicoAPIConfig and not a configuration of ours. */
export function isCalicoConfig(content: string): boolean {
  return /^\s*["']?kind["']?\s*:\s*["']?CalicoAPIConfig\b/m.test(content) || /"kind"\s*:\s*"CalicoAPIConfig"/.test(content)
}

/**
 * Reads a CalicoAPIConfig in YAML or JSON.
 *
 * @throws {ValidationError} with all that is wrong with it
 */
export function parseCalicoConfig(file: string, content: string): CalicoAccess {
  let value: unknown
  try {
    // A member without a value, such as `metadata:`, is null to YAML and absent to Calico.
    value = withoutAbsent(schema, parse(content, { logLevel: 'error' }))
  } catch (cause) {
    throw new ValidationError(`${file} is not YAML: ${describeError(cause)}`, [], { cause })
  }
  const unknown = findUnknown(schema, value).map(({ path }) => `unknown field ${JSON.stringify(path.join('.'))}`)
  const read = schema.safeParse(value)
  const faults = read.success ? [] : [describeIssues(faultsOf(schema, value))]
  if (!read.success || unknown.length > 0)
    throw new ValidationError(`${file} is not a CalicoAPIConfig: ${[...faults, ...unknown].join('; ')}`)
  return accessOf(file, read.data.spec)
}

/** What calicoctl's own file says; undefined where there is none. */
export function readCalicoConfig(file: string): CalicoAccess | undefined {
  return existsSync(file) ? parseCalicoConfig(file, readText(file, 'the configuration ')) : undefined
}

/** The variables of Calico's clients; each is also read with `CALICO_` before its name, which wins. */
const VARIABLES: Readonly<Record<string, keyof Spec>> = {
  DATASTORE_TYPE: 'datastoreType',
  ETCD_ENDPOINTS: 'etcdEndpoints',
  ETCD_DISCOVERY_SRV: 'etcdDiscoverySrv',
  ETCD_USERNAME: 'etcdUsername',
  ETCD_PASSWORD: 'etcdPassword',
  ETCD_KEY_FILE: 'etcdKeyFile',
  ETCD_CERT_FILE: 'etcdCertFile',
  ETCD_CA_CERT_FILE: 'etcdCACertFile',
}

/** What the environment says in Calico's words; undefined where it names no datastore. */
export function readCalicoEnv(env: Readonly<Record<string, string | undefined>>): CalicoAccess | undefined {
  const given = Object.entries(VARIABLES).flatMap(([name, member]) => {
    const value = env[`CALICO_${name}`] || env[name]
    return value === undefined || value === '' ? [] : [[member, value] as const]
  })
  const spec: Spec = Object.fromEntries(given)
  const names = [spec.datastoreType, spec.etcdEndpoints, spec.etcdDiscoverySrv]
  return names.every((value) => value === undefined) ? undefined : accessOf('the environment', spec)
}

function accessOf(source: string, spec: Spec): CalicoAccess {
  const { datastoreType, etcdDiscoverySrv } = spec
  if (datastoreType !== undefined && datastoreType !== '' && datastoreType !== 'etcdv3') {
    throw new ValidationError(`${source} has the datastore type ${JSON.stringify(datastoreType)}, only etcdv3 can be used here`)
  }
  if (etcdDiscoverySrv) {
    throw new ValidationError(
      `${source} has etcdDiscoverySrv ${JSON.stringify(etcdDiscoverySrv)}, give etcdEndpoints instead: etcd is not looked for by DNS here`,
    )
  }
  const secrets = present({ caFile: spec.etcdCACert, certFile: spec.etcdCert, keyFile: spec.etcdKey, passwordFile: spec.etcdPassword })
  const files = present({ caFile: spec.etcdCACertFile, certFile: spec.etcdCertFile, keyFile: spec.etcdKeyFile })
  const isTls = ['caFile', 'certFile'].some((key) => key in files || key in secrets)
  const endpoints = withSchemes(spec.etcdEndpoints ?? '', isTls)
  // Calico's clients pass over files that a plain connection has no use for; our configuration says that they have none.
  const isUsed = (key: string) => key === 'passwordFile' || endpoints.includes('https://')
  const paths = { ...mapValues(files, (file) => resolve(file)), ...mapValues(secrets, () => PLACEHOLDER) }
  return {
    source,
    keys: present({ endpoints, username: spec.etcdUsername, ...keep(paths, isUsed) }),
    secrets: keep(secrets, isUsed),
  }
}

/** Stands for the file that will hold a secret, until that is written. */
const PLACEHOLDER = '/dev/null'

/** etcd's own clients take an endpoint without a scheme. */
function withSchemes(endpoints: string, isTls: boolean): string {
  return endpoints
    .split(',')
    .map((endpoint) => endpoint.trim().replace(/\/$/, ''))
    .filter((endpoint) => endpoint !== '')
    .map((endpoint) => (endpoint.includes('://') ? endpoint : `${isTls ? 'https' : 'http'}://${endpoint}`))
    .join(',')
}

type Texts = Readonly<Record<string, string>>

function present(values: Readonly<Record<string, string | undefined>>): Texts {
  return Object.fromEntries(Object.entries(values).filter((pair): pair is [string, string] => pair[1] !== undefined && pair[1] !== ''))
}

function keep(values: Texts, isKept: (key: string) => boolean): Texts {
  return Object.fromEntries(Object.entries(values).filter(([key]) => isKept(key)))
}

function mapValues(values: Texts, change: (value: string) => string): Texts {
  return Object.fromEntries(Object.entries(values).map(([key, value]) => [key, change(value)]))
}
