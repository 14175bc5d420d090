import { ValidationError } from '../../errors.ts'
import type { ResourceRef } from '../../store/resource-store.ts'
import type { AddCommand } from '../context.ts'
import type { GivenResource } from '../documents.ts'
import { addFileOptions, type FileOptions, readGiven } from '../file-options.ts'
import { renderJson, renderYaml } from '../format.ts'
import { withStoredRules } from '../namespace-steps.ts'
import { addOutputOption, addStoreOptions } from '../options.ts'
import { makePlan } from '../plan.ts'
import { renderPlan } from '../plan-render.ts'
import { readOnce } from '../read-once.ts'
import { rehearse } from '../rehearsal.ts'
import { renderError } from '../report.ts'
import { type Session, withSession } from '../session.ts'
import { listHeldTrials } from '../trial-records.ts'
import { deleteResource, writeResource } from '../write.ts'

const EXAMPLES = `
Examples:
  margay plan -f policies.yaml
  margay plan -f ./resources -R -o json
  margay plan -f old.yaml --delete

Nothing is written. The hosts are asked what it would make of the policies of their endpoints, and of the connections that are open there;
who does not answer within 5 s is judged by the store, and if it is concerned its connections count as cut.

A trial that runs is named; the plan is about the policy that is written, without it.

Exit code 4 when an open connection would be cut, 0 when none would.`

/** `margay plan -f …`. */
export const addPlanCommand: AddCommand = (parent, context, outcome) => {
  const command = addFileOptions(
    parent.command('plan').description('say what applying documents would change on which host, and which connections it would cut'),
  )
  command.option('--delete', 'what deleting the resources in the documents would change')
  addStoreOptions(addOutputOption(command, ['text', 'json', 'yaml']))
    .addHelpText('after', EXAMPLES)
    .action(async () => {
      const { output, delete: isDeleting } = command.opts<FileOptions & { output: string; delete?: true }>()
      const items = await readGiven(command, context)
      const act = (session: Session, { resource, isNamespace }: GivenResource) => {
        if (isDeleting) return deleteResource(session, context, { ref: refOf({ resource }), skipMissing: true })
        return isNamespace && resource.kind === 'Profile'
          ? withStoredRules(session.store, resource, context.signal).then((whole) => writeOne(session, whole))
          : writeOne(session, resource)
      }
      const writeOne = (session: Session, resource: GivenResource['resource']) =>
        writeResource(session, context, { verb: 'apply', skipExists: false }, resource)
      const plan = await withSession(command, context, async (session) => {
        const store = readOnce(session.store)
        const { changes, faults } = await rehearse(store, { items, refOf, act })
        for (const [item, fault] of faults) context.err(renderError(context.program, fault, (item as GivenResource).place))
        if (faults.size > 0) throw new ValidationError('nothing was planned: what is named above could not be written')
        const made = await makePlan(store, changes, context.signal)
        const held = await listHeldTrials(store, () => true, context.now(), context.signal)
        return held.length === 0 ? made : { ...made, trials: held.map(({ running: _, ...trial }) => trial) }
      })
      context.out(output === 'json' ? renderJson(plan) : output === 'yaml' ? renderYaml(plan) : renderPlan(plan))
      if (plan.wouldCut) outcome.code = 4
    })
}

function refOf({ resource: { kind, metadata } }: Pick<GivenResource, 'resource'>): ResourceRef {
  return { kind, name: metadata.name, namespace: metadata.namespace }
}
