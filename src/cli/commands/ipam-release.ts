import type { Command } from 'commander'
import { ConflictError, describeError, IpamError, MargayError, ValidationError } from '../../errors.ts'
import type { RepairOutcome } from '../../ipam/repair.ts'
import { parseReport, repairsByReports } from '../../ipam/report.ts'
import { ipOf } from '../../net/cidr.ts'
import { type Ip, isIp, parseIp } from '../../net/ip.ts'
import { getResource, listResources } from '../../store/resource-store.ts'
import { type Context, type Outcome, type Program, UsageError } from '../context.ts'
import { readText } from '../files.ts'
import { nameOf } from '../kind.ts'
import { addDryRunOption, addStoreOptions, collect } from '../options.ts'
import { doEach, reportEach } from '../report.ts'
import { type Session, withSession } from '../session.ts'

const EXAMPLES = `
Examples:
  margay ipam release --ip 10.65.0.9
  margay ipam release --from-report monday.json --from-report tuesday.json

From reports only what each of them names as leaked is released, and what is still leaked now, held by the same handle since.`

interface ReleaseOptions {
  readonly ip?: readonly string[]
  readonly fromReport?: readonly string[]
  readonly force?: true
  readonly dryRun?: true
}

/** `margay ipam release`: one address, or all that reports name as leaked. */
export function defineIpamRelease(command: Command, context: Context, outcome: Outcome): void {
  command
    .description('give back addresses that nothing uses')
    .option('--ip <address>', 'this address; may be repeated', collect)
    .option('--from-report <file>', 'what this report of "ipam check" names as leaked; of several reports what all name', collect)
    .option('--force', 'also an address that a workload endpoint has; as calicoctl from reports also while the datastore is not locked')
  addStoreOptions(addDryRunOption(command))
    .addHelpText('after', EXAMPLES)
    .action(async () => {
      const options = command.opts<ReleaseOptions>()
      if ((options.ip === undefined) === (options.fromReport === undefined)) throw new UsageError('give either --ip or --from-report')
      await withSession(command, context, async (session) => {
        if (options.fromReport !== undefined) return releaseReported(session, context, options.fromReport, options)
        const addresses = (options.ip ?? []).map(checkAddress)
        outcome.code = await reportEach(context, {
          items: addresses,
          done: doEach(addresses, (ip) => releaseOne(session, context, ip, options)),
        })
      })
    })
}

function checkAddress(text: string): Ip {
  if (isIp(text)) return parseIp(text)
  throw new UsageError(`--ip ${JSON.stringify(text)} is not an IP address, give one such as 10.65.0.9`)
}

async function releaseOne({ store, ipam }: Session, context: Context, ip: Ip, { force, dryRun }: ReleaseOptions): Promise<string> {
  // calicoctl releases what it is told, and its users know that.
  if (!force && context.program === 'margay') await refuseUsed(store, ip, context.signal)
  const { released, refused } = await ipam.releaseIps([{ ip }], context.signal)
  const [first] = refused
  if (first !== undefined) throw new ConflictError('conflict', `IP address ${ip} was not released: ${first.reason}`)
  if (released.length === 0) throw new IpamError('not-found', `IP address ${ip} is not assigned`)
  return `Successfully released IP address ${ip}${dryRun === true ? ' (dry run)' : ''}`
}

/** A workload that goes on with an address that another one gets is the worst that can happen. */
async function refuseUsed(store: Session['store'], ip: Ip, signal: AbortSignal): Promise<void> {
  const { resources } = await listResources(store, { kind: 'WorkloadEndpoint' }, signal)
  const user = resources.find(({ spec }) => (spec.ipNetworks ?? []).some((network) => ipOf(network) === ip))
  if (user === undefined) return
  const { name, namespace } = user.metadata
  throw new ConflictError('conflict', `${nameOf('WorkloadEndpoint', name, namespace)} has ${ip}: delete that, or give --force`)
}

async function releaseReported(
  { store, ipam }: Session,
  context: Context,
  files: readonly string[],
  { force, dryRun }: ReleaseOptions,
): Promise<void> {
  const reports = files.map((file) => readReport(file))
  const cluster = await getResource(store, { kind: 'ClusterInformation', name: 'default' }, context.signal)
  if (context.program === 'calicoctl' && force !== true && cluster?.spec.datastoreReady !== false)
    throw new ValidationError('data store is not locked. Either lock the data store, or re-run with --force')
  const repairs = repairsByReports(reports, cluster, await ipam.check(context.signal))
  const released = renderReleased(await ipam.repair(repairs, [], context.signal), context.program)
  context.out(dryRun === true ? released.replace(/\n/g, ' (dry run)\n') : released)
}

function renderReleased({ done, passedOver }: RepairOutcome, program: Program): string {
  const lines = done.flatMap((repair) => {
    if (repair.action === 'release-address') return [`${repair.ip} released`]
    return repair.action === 'delete-handle' ? [`handle ${repair.handleId} deleted`] : []
  })
  const count = (action: string) => done.filter((repair) => repair.action === action).length
  const [ips, handles] = [count('release-address'), count('delete-handle')]
  if (program === 'calicoctl') return renderAsCalicoctl({ ips, handles, skipped: passedOver.length })
  const left = passedOver.length === 0 ? '' : `, ${passedOver.length} were in use again`
  return `${[...lines, `Released ${ips} IPs and ${handles} handles successfully${left}`].join('\n')}\n`
}

function renderAsCalicoctl({ ips, handles, skipped }: Readonly<Record<'ips' | 'handles' | 'skipped', number>>): string {
  const released = ips === 0 ? "Report didn't contain any leaked IPs to clean up." : `Released ${ips} IPs successfully`
  const left = skipped === 0 ? '' : `${skipped} were in use again, and are left\n`
  return `${released}\nReleased ${handles} handles\n${left}You may now unlock the data store.\n`
}

function readReport(file: string): ReturnType<typeof parseReport> {
  const text = readText(file, 'the report ')
  try {
    return parseReport(text)
  } catch (cause) {
    throw new MargayError('file', `${JSON.stringify(file)}: ${describeError(cause)}`)
  }
}
