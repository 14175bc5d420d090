import * as z from 'zod'
import type { Issue } from '../errors.ts'

const strings = z.record(z.string(), z.string())
const ignored = z.unknown().optional()

/** Kubernetes' ObjectMeta in Go's order. What etcd mode does not use is accepted and kept. */
export const metadataSchema = z.object({
  name: z.string(),
  generateName: ignored,
  namespace: z.string().optional(),
  selfLink: ignored,
  uid: z.string().optional(),
  resourceVersion: z.string().optional(),
  generation: ignored,
  creationTimestamp: z.string().optional(),
  deletionTimestamp: z.string().optional(),
  deletionGracePeriodSeconds: ignored,
  labels: strings.optional(),
  annotations: strings.optional(),
  ownerReferences: ignored,
  finalizers: ignored,
  managedFields: ignored,
})

const MAX_ANNOTATION_BYTES = 256 * 1024
const LABEL = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/
const SUBDOMAIN = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/
const QUALIFIED = /^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$/

/** Whether the text is a DNS label (RFC 1123): lower-case letters, digits and inner `-`, up to 63. */
export function isDnsLabel(text: string): boolean {
  return text.length <= 63 && LABEL.test(text)
}

/** Whether the text is a DNS subdomain (RFC 1123): labels with dots, up to 253 characters in all. Names of resources are. */
export function isSubdomain(text: string): boolean {
  return text.length <= 253 && SUBDOMAIN.test(text)
}

/** What is wrong with a name, or undefined. */
export function checkName(name: string): string | undefined {
  if (isSubdomain(name)) return undefined
  const rule = 'lower-case letters, digits, "-" and ".", up to 253, beginning and ending with a letter or digit'
  return `${JSON.stringify(name)} is not a name (${rule})`
}

/** What is wrong with the key of an annotation, or undefined; other than in a label's, letters of any case may stand everywhere. */
export function checkAnnotationKey(key: string): string | undefined {
  return checkLabelKey(key.toLowerCase()) === undefined ? undefined : checkLabelKey(key)
}

/** What is wrong with the key of a label, or undefined. */
export function checkLabelKey(key: string): string | undefined {
  const parts = key.split('/')
  const name = parts.at(-1) ?? ''
  const isPrefixed = parts.length === 2 && isSubdomain(parts[0] ?? '')
  if ((parts.length === 1 || isPrefixed) && name.length <= 63 && QUALIFIED.test(name)) return undefined
  const rule = 'up to 63 letters, digits, "-", "_" and ".", beginning and ending with a letter or digit, after an optional DNS name and "/"'
  return `${JSON.stringify(key)} is not a label name (${rule})`
}

/** What is wrong with the value of a label, or undefined. */
export function checkLabelValue(value: string): string | undefined {
  if (value === '' || (value.length <= 63 && QUALIFIED.test(value))) return undefined
  const rule = 'empty, or up to 63 letters, digits, "-", "_" and ".", beginning and ending with a letter or digit'
  return `${JSON.stringify(value)} is not a label value (${rule})`
}

/** What is wrong with a map of labels that stands at this path. */
export function checkLabels(labels: Readonly<Record<string, string>> | undefined, path: string): readonly Issue[] {
  return Object.entries(labels ?? {}).flatMap(([key, value]) =>
    // What is no text is told where the field is read.
    [checkLabelKey(key), typeof value === 'string' ? checkLabelValue(value) : undefined].flatMap((message) =>
      message === undefined ? [] : [{ path: `${path}.${key}`, message }],
    ),
  )
}

/** What is wrong with a resource's metadata beyond its shape. */
export function checkMetadata(metadata: Metadata, isNamespaced: boolean): readonly Issue[] {
  const issues: Issue[] = []
  const add = (path: string, message: string | undefined) => message !== undefined && issues.push({ path: `metadata.${path}`, message })
  add('name', checkName(metadata.name))
  if (isNamespaced) add('namespace', checkNamespace(metadata.namespace))
  else if (metadata.namespace !== undefined) add('namespace', 'this kind has no namespace: leave it out')
  issues.push(...checkLabels(metadata.labels, 'metadata.labels'))
  for (const key of Object.keys(metadata.annotations ?? {})) add(`annotations.${key}`, checkAnnotationKey(key))
  const bytes = Object.entries(metadata.annotations ?? {}).reduce((sum, pair) => sum + Buffer.byteLength(pair.join('')), 0)
  if (bytes > MAX_ANNOTATION_BYTES) add('annotations', `${bytes} bytes of annotations, ${MAX_ANNOTATION_BYTES} are allowed`)
  return issues
}

type Metadata = z.infer<typeof metadataSchema>

function checkNamespace(namespace: string | undefined): string | undefined {
  if (namespace === undefined) return 'is required for this kind'
  return isDnsLabel(namespace)
    ? undefined
    : `${JSON.stringify(namespace)} is not a namespace (lower-case letters, digits and inner "-", up to 63)`
}

/** That a resource of which there is one is called `default`. */
export function checkOnlyDefault(resource: { readonly metadata: { readonly name: string } }): readonly Issue[] {
  const { name } = resource.metadata
  return name === 'default' ? [] : [{ path: 'metadata.name', message: `${JSON.stringify(name)}: the only one of this kind is "default"` }]
}
