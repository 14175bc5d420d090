import { type Issue, ValidationError } from '../errors.ts'
import { describeIssues } from './issues.ts'
import { type AnyResource, kindInfo } from './kinds.ts'
import { checkMetadata } from './metadata.ts'

/** Everything that is wrong with a resource of which each field has its shape: names, labels and the rules between fields. */
export function checkResource(resource: AnyResource): readonly Issue[] {
  const info = kindInfo(resource.kind)
  const issues = [...checkMetadata(resource.metadata, info.isNamespaced), ...info.validate(resource)]
  const seen = new Set<string>()
  return issues.filter(({ path, message }) => {
    const isNew = !seen.has(`${path} ${message}`)
    seen.add(`${path} ${message}`)
    return isNew
  })
}

/** Throws a ValidationError with everything that is wrong. */
export function assertResource(resource: AnyResource): void {
  const issues = checkResource(resource)
  if (issues.length === 0) return
  throw new ValidationError(`not a valid ${resource.kind} ${JSON.stringify(resource.metadata.name)}: ${describeIssues(issues)}`, issues)
}
