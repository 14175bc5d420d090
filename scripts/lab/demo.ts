import { parseArgs } from 'node:util'
import { run } from './command.ts'
import { untilStatus } from './daemon.ts'
import { type Lab, openLab, POOLS } from './lab.ts'
import { checkMatrix, drawMatrix } from './matrix.ts'
import { countPairs, isMatrixRight, isWireRight, LAB_MODES, type PairCount, switchMode, wayOf } from './mode.ts'
import { startProbe } from './probe.ts'
import { bold, dim, green, red, say, table, usage, usageError } from './screen.ts'
import { startCapture, type WireCount } from './wire.ts'
import type { LabWorkload } from './workload.ts'

const PROBES = 8000

/** What one phase showed. */
interface Phase {
  readonly pairs: PairCount
  readonly wire: WireCount
  readonly isRight: boolean
}

/**
 * Shows margay to a person: three hosts, two workloads each, what is on the wire, and a live switch of the mode.
 * Gives 0 only if exactly those pairs answer that should and the wire is as the mode says, before the switch and after it.
 */
export async function main(args: readonly string[]): Promise<number> {
  const { mode, subnets, isJson } = readArgs(args)
  const next = mode === 'vxlan' ? 'vxlan-cross-subnet' : 'vxlan'
  const started = performance.now()
  say(bold(`margay: three hosts on ${subnets === 1 ? 'one subnet' : 'two subnets'}, mode ${mode}`))
  const lab = await openLab({ hosts: subnets === 1 ? [0, 0, 0] : [0, 0, 1], etcd: 'embedded', mode })
  try {
    const workloads = await join(lab)
    await settle(lab, mode)
    await showRoutes(lab)
    const before = await showPhase(lab, workloads, mode)
    await showUnreachable(lab)
    say('', bold(`the pool's mode is switched to ${next}, with ${PROBES} echo requests a millisecond apart on the way`))
    const lost = await switchLive(lab, workloads, { from: mode, to: next })
    const after = await showPhase(lab, workloads, next)
    const isRight = before.isRight && after.isRight
    say('', `${isRight ? green('as it should be') : red('not as it should be')}, in ${((performance.now() - started) / 1000).toFixed(1)} s`)
    const wireOf = ({ wire }: Phase) => ({ encapsulated: wire.encapsulated, plain: wire.plain })
    const report = { ok: isRight, mode, subnets, pairs: before.pairs, wire: wireOf(before) }
    if (isJson) say(JSON.stringify({ ...report, switch: { to: next, pairs: after.pairs, wire: wireOf(after), lost } }))
    return isRight ? 0 : 1
  } finally {
    await lab.close()
  }
}

function readArgs(args: readonly string[]): { mode: string; subnets: 1 | 2; isJson: boolean } {
  const options = { mode: { type: 'string' }, subnets: { type: 'string' }, json: { type: 'boolean' } } as const
  const { values } = usage(() => parseArgs({ args: [...args], options }))
  const { mode = 'vxlan-cross-subnet', subnets = '2', json: isJson = false } = values
  if (!LAB_MODES.includes(mode)) throw usageError(`--mode ${JSON.stringify(mode)}: it is one of ${LAB_MODES.join(', ')}`)
  if (subnets !== '1' && subnets !== '2') throw usageError(`--subnets ${JSON.stringify(subnets)}: it is 1 or 2`)
  return { mode, subnets: subnets === '1' ? 1 : 2, isJson }
}

async function join(lab: Lab): Promise<readonly LabWorkload[]> {
  say(dim(`h1 has the embedded etcd at ${lab.etcd.endpoint}`))
  // The first host alone: it finds an empty etcd and creates the pools.
  for (const daemon of lab.daemons) {
    const ms = await daemon.start()
    const { addresses, tunnelAddresses, mtuBytes } = await daemon.status()
    const tunnel = tunnelAddresses.length === 0 ? '' : `, tunnel ${tunnelAddresses.join(' ')}`
    say(`${green('joined')} ${daemon.host.host} ${addresses.join(' ')}${tunnel}, workload MTU ${mtuBytes}  ${dim(`${Math.round(ms)} ms`)}`)
  }
  const perHost = lab.daemons.map(async ({ host: { host } }) => {
    const name = (number: number) => `${host.replace('h', 'w')}${number}`
    return [await lab.addWorkload(host, name(1)), await lab.addWorkload(host, name(2))]
  })
  const workloads = (await Promise.all(perHost)).flat()
  say('', bold('workloads'))
  table(workloads.map(({ name, daemon, addresses }) => [`  ${name}`, `on ${daemon.host.host}`, ...addresses]))
  return workloads
}

/** Waits until every host knows every other one's blocks and sends in the mode wanted. */
async function settle(lab: Lab, mode: string): Promise<void> {
  const others = lab.daemons.length - 1
  const isOn = (from: string, to: string) => lab.daemon(from).host.subnet === lab.daemon(to).host.subnet
  const wanted = (from: string, to: string) => {
    if (mode === 'vxlan') return 'vxlan'
    if (isOn(from, to)) return 'direct'
    return mode === 'direct' ? 'none' : 'vxlan'
  }
  for (const daemon of lab.daemons) {
    await untilStatus(
      daemon,
      `peers in mode ${mode}`,
      ({ peers, revision, appliedRevision }) => {
        const ours = peers.filter(({ family, blocks }) => family === 4 && blocks > 0)
        return (
          appliedRevision >= revision && ours.length === others && ours.every((peer) => peer.mode === wanted(daemon.host.host, peer.node))
        )
      },
      15_000,
    )
  }
}

async function showRoutes(lab: Lab): Promise<void> {
  for (const { host } of lab.daemons) {
    say('', bold(`routes of ${host.host}`))
    const routes = await run({ enter: [] }, ['ip', '-n', host.name, 'route', 'show', 'proto', '77'])
    say(
      ...routes
        .trimEnd()
        .split('\n')
        .map((line) => `  ${line.trim()}`),
    )
  }
}

async function showPhase(lab: Lab, workloads: readonly LabWorkload[], mode: string): Promise<Phase> {
  const capture = await startCapture(lab.topology, lab.folder)
  const pairs = await checkMatrix(workloads, 4)
  const { count: wire } = await capture.end([POOLS[4]])
  const count = countPairs(mode, pairs)
  say('', bold(`who reaches whom in mode ${mode}`), ...drawMatrix(workloads, pairs).map((line) => `  ${line}`))
  const isRight = isMatrixRight(mode, pairs) && isWireRight(mode, pairs, wire)
  say(`${isRight ? green('right') : red('wrong')}: ${count.reachable} of ${count.total} pairs answer, ${count.expected} should`)
  say(`on the wire between hosts: ${wire.encapsulated} packets in VXLAN, ${wire.plain} plain`)
  const packet = await capture.show(wire.encapsulated > 0 ? 'udp port 4789' : `net ${POOLS[4]}`)
  if (packet !== undefined) say(dim('one of them:'), ...packet.split('\n').map((line) => dim(`  ${line.trim()}`)))
  return { pairs: count, wire, isRight }
}

async function showUnreachable(lab: Lab): Promise<void> {
  for (const daemon of lab.daemons) {
    const { peers } = await daemon.status()
    for (const { node, family, isReachable, reason } of peers) {
      if (!isReachable && family === 4) say(`${daemon.host.host} says of ${node}: ${reason ?? 'no reason given'}`)
    }
  }
}

/** Switches while a probe runs from the first workload to one on each other host; gives how many echo requests were lost. */
async function switchLive(lab: Lab, workloads: readonly LabWorkload[], modes: { from: string; to: string }): Promise<number> {
  const [first] = workloads
  if (first === undefined) throw new Error('no workload')
  const others = workloads.filter((to) => to.name.endsWith('1') && !['local', 'none'].includes(wayOf(modes.from, first, to)))
  const probes = others.map((to) => startProbe(first.namespace, { to: to.addresses[0] ?? '', count: PROBES }))
  await Promise.all(probes.map(({ running }) => running))
  const started = performance.now()
  await switchMode(lab, modes.to)
  await settle(lab, modes.to)
  const settledMs = Math.round(performance.now() - started)
  const results = await Promise.all(probes.map(({ ended }) => ended))
  const lost = results.reduce((sum, result) => sum + result.lost, 0)
  const sent = results.reduce((sum, result) => sum + result.sent, 0)
  say(`switched and settled in ${settledMs} ms, ${lost} of ${sent} echo requests lost`)
  return lost
}
