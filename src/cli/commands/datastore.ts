import type { Command } from 'commander'
import { MargayError } from '../../errors.ts'
import { type AddCommand, type Context, PartialError } from '../context.ts'
import { setDatastoreReady } from '../datastore.ts'
import { addDryRunOption, addStoreOptions } from '../options.ts'
import { migratePolicyNames } from '../policy-names.ts'
import { type Session, withSession } from '../session.ts'

/** `margay datastore migrate lock|unlock|export|import` and `margay datastore migrate-policy-names`. */
export const addDatastoreCommand: AddCommand = (parent, context) => {
  const datastore = parent.command('datastore').description('commands about all that is stored')
  const migrate = datastore.command('migrate').description('lock what is stored while it is changed as a whole')
  defineLock(migrate.command('lock'), context, true)
  defineLock(migrate.command('unlock'), context, false)
  for (const verb of ['export', 'import']) {
    const command = migrate.command(verb).description(`not there: calicoctl's ${verb} moves what is stored to Kubernetes`)
    addStoreOptions(command)
      .option('-f, --filename <file>', 'not used')
      .action(() => {
        throw new MargayError('usage', `there is no ${verb} to Kubernetes here; ${INSTEAD}`)
      })
  }
  const names = datastore
    .command('migrate-policy-names')
    .description('store policies that Calico before 3.32 wrote under the names that they have')
  addStoreOptions(addDryRunOption(names)).action(() => withSession(names, context, (session) => migrateNames(session, context)))
}

const INSTEAD = '"margay get KIND -A -o yaml" writes what can be applied elsewhere, "etcdctl snapshot save" keeps all of it'

function defineLock(command: Command, context: Context, isLocked: boolean): void {
  command.description(
    isLocked ? 'tell hosts and plug-ins that nothing may be changed now' : 'tell hosts and plug-ins that all may be changed again',
  )
  addStoreOptions(command).action(async () => {
    await withSession(command, context, (session) => setDatastoreReady(session.store, !isLocked, context.signal))
    context.out(`Datastore ${isLocked ? 'locked' : 'unlocked'}.\n`)
  })
}

async function migrateNames({ store }: Session, context: Context): Promise<void> {
  const { renamed, failed } = await migratePolicyNames(store, context.signal)
  for (const text of renamed) context.out(`${text}\n`)
  for (const text of failed) context.err(`${context.program}: ${text}\n`)
  if (failed.length > 0) throw new PartialError(`${failed.length} policies were left as they are`)
  if (renamed.length === 0) context.out('all policies are stored under their names already\n')
}
