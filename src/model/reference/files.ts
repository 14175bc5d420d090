import { RESOURCE_KINDS } from '../kinds.ts'
import { schemaFiles } from './json-schema.ts'
import { pageFile, renderPage } from './page.ts'

export { renderKinds } from './page.ts'

/** What is made of each kind's page, by the path of the page. */
export function referencePages(): ReadonlyMap<string, string> {
  return new Map(RESOURCE_KINDS.map((kind) => [`docs/resources/${pageFile(kind)}`, renderPage(kind)]))
}

/** The texts of all schemas, by file name below schemas/. */
export function renderSchemas(): ReadonlyMap<string, string> {
  return new Map([...schemaFiles()].map(([name, schema]) => [name, `${JSON.stringify(schema, undefined, 1)}\n`]))
}
