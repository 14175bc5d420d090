import type { Command } from 'commander'
import type { TrialHost } from '../../model/own/trial.ts'
import type { AddCommand, Context } from '../context.ts'
import { joinOrDash, renderFacts, renderJson, renderTable } from '../format.ts'
import { addOutputOption, addStoreOptions } from '../options.ts'
import { withSession } from '../session.ts'
import { cancelTrial, confirmTrial, findTrial, listTrials, nameOfChange, type RunningTrial, readTrialHosts } from '../trial-records.ts'
import { addWaitOption, waitAfter } from '../wait.ts'

const CONFIRM_EXAMPLES = `
Examples:
  margay apply -f policies.yaml --confirm 60s && ssh h2 true && margay confirm
  margay confirm k7fm

All of it is written in one moment, or nothing: not when the time is over, nor when somebody else has changed one of the resources since.`

/** `margay confirm [ID]`. */
export const addConfirmCommand: AddCommand = (parent, context, outcome) => {
  const command = parent.command('confirm').description('keep a change that hosts are trying ("margay apply --confirm")')
  addWaitOption(command.argument('[id]', 'of the trial; not needed where only one runs'))
  addStoreOptions(command)
    .addHelpText('after', CONFIRM_EXAMPLES)
    .action(async (id: string | undefined) => {
      outcome.code = await withSession(command, context, async (session) => {
        const found = await findTrial(session.store, id, context.signal)
        await confirmTrial(session.store, found, context.signal)
        for (const change of found.changes)
          context.out(`${nameOfChange(change)} ${change.resource === undefined ? 'deleted' : 'written'}\n`)
        context.out(`trial ${found.id} confirmed\n`)
        const resources = found.changes.flatMap(({ kind, id: name, resource }) =>
          resource === undefined ? [{ kind, metadata: { name } }] : [resource],
        )
        return waitAfter(command, context, session, { code: 0, resources })
      })
    })
}

/** `margay trial list|show|cancel`. */
export const addTrialCommand: AddCommand = (parent, context) => {
  const trial = parent.command('trial').description('changes of policy that hosts are trying')
  defineList(trial.command('list').description('list the trials that run'), context)
  defineShow(trial.command('show').description('show a trial: what it changes, and how it goes on each host'), context)
  const cancel = trial.command('cancel').description('end a trial now: the policy that was returns')
  addStoreOptions(cancel.argument('[id]', 'of the trial; not needed where only one runs')).action(async (id: string | undefined) => {
    await withSession(cancel, context, async ({ store }) => {
      const found = await findTrial(store, id, context.signal)
      await cancelTrial(store, found, context.signal)
      context.out(`trial ${found.id} cancelled\n`)
    })
  })
}

function defineList(command: Command, context: Context): void {
  addOutputOption(addStoreOptions(command), ['text', 'json']).action(async () => {
    const trials = await withSession(command, context, ({ store }) => listTrials(store, context.signal))
    if (command.opts<{ output: string }>().output === 'json') return context.out(renderJson(trials.map((one) => asJson(one))))
    if (trials.length === 0) return context.out('no trial runs\n')
    const rows = trials.map(({ id, trial, leftSeconds, changes }) => [
      id,
      trial.by,
      `${leftSeconds ?? 0}s`,
      changes.map(nameOfChange).join(', '),
    ])
    context.out(renderTable(['ID', 'BY', 'LEFT', 'CHANGES'], rows))
  })
}

function defineShow(command: Command, context: Context): void {
  command.argument('[id]', 'of the trial; not needed where only one runs')
  addOutputOption(addStoreOptions(command), ['text', 'json']).action(async (id: string | undefined) => {
    const { found, hosts } = await withSession(command, context, async ({ store }) => {
      const running = await findTrial(store, id, context.signal)
      return { found: running, hosts: await readTrialHosts(store, running.id, context.signal) }
    })
    const isJson = command.opts<{ output: string }>().output === 'json'
    context.out(isJson ? renderJson(asJson(found, hosts)) : renderTrial(found, hosts))
  })
}

function renderTrial({ id, trial, changes, leftSeconds }: RunningTrial, hosts: readonly TrialHost[]): string {
  const running = hosts.filter(({ state }) => state === 'running').map(({ node }) => node)
  const refused = hosts.filter(({ state }) => state === 'refused').map(({ node, reasons }) => `${node}: ${reasons.join('; ')}`)
  return renderFacts([
    ['Trial', id],
    ['By', trial.by],
    ['Left', `${leftSeconds ?? 0} s of ${trial.seconds}`],
    ['Changes', changes.map((change) => `${nameOfChange(change)}${change.resource === undefined ? ' (deleted)' : ''}`).join('\n')],
    ['Running on', joinOrDash(running)],
    ...(refused.length === 0 ? [] : [['Refused by', refused.join('\n')] as const]),
  ])
}

function asJson({ id, trial, changes, leftSeconds }: RunningTrial, hosts?: readonly TrialHost[]): object {
  const { by, startedAt, seconds } = trial
  const shown = changes.map(({ kind, id: name, resource }) => ({ kind, id: name, isDeleted: resource === undefined, resource }))
  return { id, by, startedAt, seconds, leftSeconds, changes: shown, ...(hosts && { hosts }) }
}
