import { parseDocuments } from '../../src/model/document.ts'
import { kindInfo, type ResourceKind } from '../../src/model/kinds.ts'

/** The metadata and the status of a document that a test gives. */
export interface GivenMore {
  readonly metadata?: Readonly<Record<string, unknown>>
  readonly status?: unknown
}

/** What is said of a document of this kind with this spec, as `path: message`. The name is `default` unless given. For tests. */
export function faultsOfSpec(kind: ResourceKind, spec: unknown, { metadata, status }: GivenMore = {}): readonly string[] {
  const { apiVersion } = kindInfo(kind)
  const name = kind === 'WorkloadEndpoint' ? {} : { name: 'default' }
  const document = { apiVersion, kind, metadata: { ...name, ...metadata }, spec, status }
  return parseDocuments(JSON.stringify(document)).flatMap(({ issues }) => issues.map(({ path, message }) => `${path}: ${message}`))
}
