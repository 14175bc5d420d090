import type { AnyResource } from '../model/kinds.ts'
import { prepareCreate } from '../model/prepare.ts'

/** Of no meaning: what is validated is not stored. */
const UUID = '00000000-0000-4000-8000-000000000000'

/**
 * Checks a resource as a writer would before it stores it, with the defaults of its kind filled in.
 *
 * @throws {ValidationError} with everything that is wrong
 */
export function checkGiven(given: AnyResource, now: Date): void {
  const { resourceVersion: _, ...metadata } = given.metadata
  prepareCreate({ ...given, metadata } as AnyResource, now, UUID)
}
