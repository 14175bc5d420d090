import * as z from 'zod'
import type { Issue } from '../../errors.ts'
import type { DeepReadonly } from '../fields.ts'
import { checkLabelKey, checkLabelValue } from '../metadata.ts'
import { enforced } from '../tags.ts'

/** Kubernetes' LabelSelector in Go's order: all of it must hold, so an empty one selects everything. */
export const labelSelectorSchema = z.object({
  matchLabels: enforced('Labels with the values that they must have.', z.record(z.string(), z.string())).optional(),
  matchExpressions: z
    .array(
      z.object({
        key: enforced('The label.', z.string()),
        operator: enforced(
          'In and NotIn compare with `values`; Exists and DoesNotExist take none.',
          z.enum(['In', 'NotIn', 'Exists', 'DoesNotExist']),
        ),
        values: enforced('The values.', z.array(z.string())).optional(),
      }),
    )
    .optional(),
})

export type LabelSelector = DeepReadonly<z.infer<typeof labelSelectorSchema>>

type Expression = NonNullable<LabelSelector['matchExpressions']>[number]

/** The parts of the same selector in Calico's language, to be joined by `&&`; none for what selects everything. */
export function selectorParts({ matchLabels, matchExpressions }: LabelSelector): readonly string[] {
  const labels = Object.entries(matchLabels ?? {}).sort(([a], [b]) => (a < b ? -1 : 1))
  return [...labels.map(([key, value]) => `${key} == '${value}'`), ...(matchExpressions ?? []).map(showExpression)]
}

/** What is wrong with a selector beyond the shape of its fields. */
export function checkLabelSelector(selector: LabelSelector | undefined, path: string): readonly Issue[] {
  const issues: Issue[] = []
  const add = (at: string, message: string | undefined) => message !== undefined && issues.push({ path: `${path}.${at}`, message })
  for (const [key, value] of Object.entries(selector?.matchLabels ?? {})) {
    add(`matchLabels.${key}`, checkLabelKey(key))
    if (value !== undefined) add(`matchLabels.${key}`, checkLabelValue(value))
  }
  for (const [index, expression] of (selector?.matchExpressions ?? []).entries()) {
    if (expression === undefined) continue
    const { key, operator, values = [] } = expression
    const at = `matchExpressions[${index}]`
    if (key !== undefined) add(`${at}.key`, checkLabelKey(key))
    if (['In', 'NotIn'].includes(operator) && values.length === 0) add(`${at}.values`, `is required with ${operator}`)
    if (['Exists', 'DoesNotExist'].includes(operator) && values.length > 0) add(`${at}.values`, `must be left out with ${operator}`)
    for (const [place, value] of values.entries()) if (value !== undefined) add(`${at}.values[${place}]`, checkLabelValue(value))
  }
  return issues
}

function showExpression({ key, operator, values = [] }: Expression): string {
  if (operator === 'Exists') return `has(${key})`
  if (operator === 'DoesNotExist') return `!has(${key})`
  return `${key} ${operator === 'In' ? 'in' : 'not in'} {${values.map((value) => `'${value}'`).join(', ')}}`
}
