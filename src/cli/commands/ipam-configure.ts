import type { Command } from 'commander'
import { ConflictError, ValidationError } from '../../errors.ts'
import { decodeIpamConfig, encodeIpamConfig } from '../../model/codec.ts'
import { DEFAULT_IPAM_CONFIG, type IpamConfig } from '../../model/ipam-config.ts'
import { IPAM_CONFIG_KEY } from '../../model/keys.ts'
import type { Store } from '../../store/store.ts'
import { type Context, UsageError } from '../context.ts'
import { propertyName } from '../ipam-format.ts'
import { addStoreOptions, parseCount, parseSwitch } from '../options.ts'
import { withSession } from '../session.ts'

const EXAMPLES = `
Examples:
  margay ipam configure --strictaffinity true
  margay ipam configure --strictaffinity true --max-blocks-per-host 4
  margay ipam configure --ip-cooldown-seconds 30`

interface ConfigureOptions {
  readonly strictaffinity?: boolean
  readonly autoAllocateBlocks?: boolean
  readonly maxBlocksPerHost?: number
  readonly ipCooldownSeconds?: number
}

/** So often a change is tried again because somebody else was faster. */
const MOST_TRIES = 5

/** `margay ipam configure`: the record that address management obeys with etcd, which the resource IPAMConfiguration is not. */
export function defineIpamConfigure(command: Command, context: Context): void {
  command
    .description('change the settings of address management, for all hosts')
    .option('--strictaffinity <true|false>', 'hosts take addresses only from their own blocks', parseSwitch)
    .option('--auto-allocate-blocks <true|false>', 'hosts may claim new blocks by themselves', parseSwitch)
    .option('--max-blocks-per-host <n>', 'how many blocks a host may have; 0 is the default, 20', parseCount(0, 1_000_000))
    .option('--ip-cooldown-seconds <n>', 'how long a released address is not given out again', parseCount(0, 1200))
  addStoreOptions(command)
    .addHelpText('after', EXAMPLES)
    .action(async () => {
      const options = command.opts<ConfigureOptions>()
      const changes = changesOf(options)
      if (Object.keys(changes).length === 0) throw new UsageError('give at least one setting, see "margay ipam configure --help"')
      await withSession(command, context, ({ store }) => change(store, changes, context.signal))
      for (const [name, value] of Object.entries(changes)) context.out(said(context, propertyName(name), value))
    })
}

function said({ program }: Context, name: string, value: unknown): string {
  return program === 'calicoctl' ? `Successfully set ${name} to: ${value}\n` : `${name} is ${value}\n`
}

function changesOf(options: ConfigureOptions): Partial<IpamConfig> {
  const { strictaffinity, autoAllocateBlocks, maxBlocksPerHost, ipCooldownSeconds } = options
  return {
    ...(strictaffinity === undefined ? {} : { strictAffinity: strictaffinity }),
    ...(autoAllocateBlocks === undefined ? {} : { autoAllocateBlocks }),
    ...(maxBlocksPerHost === undefined ? {} : { maxBlocksPerHost }),
    ...(ipCooldownSeconds === undefined ? {} : { ipCooldownSeconds }),
  }
}

/** Read, change, compare and write; what this version does not know of the record stays. */
async function change(store: Store, changes: Partial<IpamConfig>, signal: AbortSignal): Promise<void> {
  for (let tries = 1; tries <= MOST_TRIES; tries++) {
    const entry = await store.get(IPAM_CONFIG_KEY, signal)
    const next = { ...(entry === undefined ? DEFAULT_IPAM_CONFIG : decodeIpamConfig(entry.value)), ...changes }
    check(next)
    const compares = [{ key: IPAM_CONFIG_KEY, modRevision: entry?.modRevision ?? 0 }]
    const result = await store.commit(compares, [{ put: IPAM_CONFIG_KEY, value: encodeIpamConfig(next) }], signal)
    if (result.isDone) return
  }
  throw new ConflictError('conflict', `the settings of address management were changed by others ${MOST_TRIES} times in a row, try again`)
}

function check({ strictAffinity, autoAllocateBlocks, maxBlocksPerHost }: IpamConfig): void {
  if (!strictAffinity && !autoAllocateBlocks) {
    throw new ValidationError('--auto-allocate-blocks false needs --strictaffinity true: hosts would live on addresses of others alone')
  }
  if (maxBlocksPerHost > 0 && !strictAffinity) {
    throw new ValidationError('--max-blocks-per-host needs --strictaffinity true: without it hosts take addresses from blocks of others')
  }
}
