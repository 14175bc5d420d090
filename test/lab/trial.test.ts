// at most 300 s
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { run, until } from '../../scripts/lab/command.ts'
import { untilStatus } from '../../scripts/lab/daemon.ts'
import type { Lab } from '../../scripts/lab/lab.ts'
import type { Explanation } from '../../src/cli/explain-render.ts'
import { untilReached } from '../support/fault.ts'
import { apply, globalPolicy, hostEndpoint, portStates, remove } from '../support/policed.ts'
import { succeeded, withLab } from '../support/scenario.ts'
import { listenTcp, type Stream, streamTcp, untilGoOn } from '../support/streams.ts'
import { connectTcp } from '../support/tcp.ts'

const test = suite('lab/trial')

const web = (port: number) =>
  globalPolicy('web', {
    selector: 'host == "yes"',
    types: ['Ingress', 'Egress'],
    egress: [{ action: 'Allow' }],
    ingress: [{ action: 'Allow', protocol: 'TCP', destination: { ports: [port] } }],
  })
const OLD = { 80: 'open', 81: 'closed' }
const TRIED = { 80: 'closed', 81: 'open' }

/** The least time of a trial that is to end by itself. Seconds. */
const LEAST_S = 10

/** Which ports of each host its neighbour reaches, IPv4 and IPv6 alike. */
async function states(lab: Lab) {
  const looks = lab.daemons.map(({ host }, i) => {
    const from = lab.daemons[(i + 1) % lab.daemons.length]?.host ?? host
    return portStates(
      from,
      [host.ipv4, host.ipv6].map((text) => text.split('/')[0] ?? ''),
      80,
      81,
    )
  })
  return Promise.all(looks)
}

/** Waits until ports are so on all hosts; gives when the last look at which they were otherwise began (performance.now). */
async function untilStates(lab: Lab, want: object, deadlineMs: number): Promise<number> {
  const wanted = JSON.stringify(lab.daemons.map(() => want))
  let lastOtherMs = 0
  await until({ what: `ports to be ${wanted}`, deadlineMs, everyMs: 20 }, async () => {
    const beganMs = performance.now()
    if (JSON.stringify(await states(lab)) === wanted) return true
    lastOtherMs = beganMs
    return undefined
  })
  return lastOtherMs
}

/** Three hosts with a host endpoint each, that let in port 80; the action is told how many seconds a trial needs to be looked at in time. */
async function withPolicedHosts(action: (lab: Lab, seconds: number) => Promise<void>): Promise<void> {
  const startMs = performance.now()
  await withLab({ hosts: [0, 0, 1], etcd: 'plain', mode: 'vxlan' }, async (lab) => {
    const endpoints = ['h1', 'h2', 'h3'].map((node) => hostEndpoint(`${node}-eth0`, { node, interfaceName: 'eth0' }))
    await apply(lab.daemon('h1'), web(80), ...endpoints)
    assert.equal(await states(lab), [OLD, OLD, OLD])
    // To kill and start daemons and to look takes less than all this did, which a machine with much else to do makes long.
    await action(lab, Math.max(LEAST_S, Math.ceil(((performance.now() - startMs) * 1.5) / 1000)))
  })
}

async function begin(lab: Lab, time: string): Promise<{ readonly id: string; readonly endsMs: number }> {
  const text = JSON.stringify({ apiVersion: 'projectcalico.org/v3', ...web(81) })
  const out = succeeded(await lab.daemon('h1').margay(['apply', '-f', '-', '--confirm', time], text))
  assert.match(out, /running on 3 of 3 hosts/)
  // etcd gives whole seconds, rounded down.
  const endsMs = performance.now() + (Number(/returns in (\d+) s/.exec(out)?.[1]) + 1) * 1000
  assert.equal(await states(lab), [TRIED, TRIED, TRIED])
  return { id: /^trial (\w+):/m.exec(out)?.[1] ?? '', endsMs }
}

function assertInTime(endsMs: number, lastOtherMs: number): void {
  const leftMs = Math.round(endsMs - lastOtherMs)
  process.stdout.write(`  the trial was last seen ${leftMs} ms before the last moment\n`)
  assert.ok(leftMs > 0, `it was seen ${-leftMs} ms after its end`)
}

test('the old policy returns on all hosts in time, after the daemons were killed and etcd stopped; nobody brings the trial back', async () => {
  await withPolicedHosts(async (lab, seconds) => {
    const { endsMs } = await begin(lab, `${seconds}s`)
    await Promise.all([...lab.daemons.map((daemon) => daemon.stop('SIGKILL')), lab.etcd.stop('SIGKILL')])
    assert.equal(await states(lab), [TRIED, TRIED, TRIED])
    assertInTime(endsMs, await untilStates(lab, OLD, seconds * 1000 + 10_000))
    // From the saved view, then with an etcd that has given the lease its whole time again.
    await lab.daemon('h1').start()
    assert.equal(await states(lab), [OLD, OLD, OLD])
    await lab.etcd.start()
    await Promise.all([lab.daemon('h2').start(), lab.daemon('h3').start()])
    for (const daemon of lab.daemons) {
      await untilStatus(daemon, 'etcd to be there', ({ store, isReady }) => store.isConnected && !store.isFromSavedView && isReady, 20_000)
      assert.equal((await daemon.get<{ policy: object }>('/v1/desired')).policy['set trial' as never], undefined)
    }
    assert.equal(await states(lab), [OLD, OLD, OLD])
  })
})

test('daemons that are killed and come back go on with a trial and end it in time', async () => {
  await withPolicedHosts(async (lab, seconds) => {
    const { id, endsMs } = await begin(lab, `${seconds}s`)
    await Promise.all(lab.daemons.map((daemon) => daemon.stop('SIGKILL')))
    await Promise.all(lab.daemons.map((daemon) => daemon.start()))
    assert.equal(await states(lab), [TRIED, TRIED, TRIED])
    const { trials, isReady } = await lab.daemon('h2').status()
    assert.equal([trials?.map((one) => [one.id, one.state, one.changes]), isReady], [[[id, 'running', ['GlobalNetworkPolicy web']]], true])
    assertInTime(endsMs, await untilStates(lab, OLD, seconds * 1000 + 10_000))
    for (const daemon of lab.daemons) {
      await until({ what: 'the rules of the trial to go' }, async () => {
        const { policy = {} } = await daemon.get<{ policy?: object }>('/v1/desired')
        return Object.keys(policy).some((key) => key.includes('trial')) ? undefined : true
      })
    }
  })
})

test('what is confirmed stays, with no moment of the old policy in between; what is cancelled goes at once', async () => {
  await withPolicedHosts(async (lab, seconds) => {
    const cancelled = await begin(lab, '60s')
    const explained = await lab.daemon('h2').margay(['explain', 'node/h1', 'node/h2', 'tcp', '81', '--family', '4', '--json'])
    const { verdict, tried } = JSON.parse(explained.stdout) as Explanation
    assert.equal([verdict, tried?.verdict, tried?.answered], ['deny', 'allow', ['h1', 'h2']])
    succeeded(await lab.daemon('h2').margay(['trial', 'cancel', cancelled.id]))
    await untilStates(lab, OLD, 15_000)
    await begin(lab, `${seconds}s`)
    const looks: string[] = []
    const wanted = JSON.stringify([TRIED, TRIED, TRIED])
    const confirming = lab.daemon('h3').margay(['confirm', '--wait', '25'])
    let isDone = false
    void confirming.finally(() => {
      isDone = true
    })
    while (!isDone) looks.push(JSON.stringify(await states(lab)))
    assert.match(succeeded(await confirming), /globalnetworkpolicy\/web written\ntrial \w+ confirmed\napplied on 3 of 3 hosts/)
    assert.equal([...new Set(looks)], [wanted])
    for (const daemon of lab.daemons) await untilStatus(daemon, 'no trial', ({ trials }) => (trials ?? []).length === 0, 20_000)
    assert.equal(await states(lab), [TRIED, TRIED, TRIED])
  })
})

test('a host whose kernel refuses a trial keeps what it has, says so, and hinders no other', async () => {
  await withLab({ hosts: [0, 0], etcd: 'plain', mode: 'vxlan' }, async (lab) => {
    const [near, far] = [lab.daemon('h1'), lab.daemon('h2')]
    const client = await lab.addWorkload('h1', 'w1', ['--label', 'team=a'])
    await lab.addWorkload('h1', 'w2', ['--label', 'team=a'])
    const db = await lab.addWorkload('h2', 'db', ['--label', 'role=db'])
    await untilReached(client, db)
    const fromTeam = { selector: 'role == "db"', types: ['Ingress'], ingress: [{ action: 'Deny', source: { selector: 'team == "a"' } }] }
    await apply(near, globalPolicy('team', fromTeam))
    const [, set = ''] = /set (s4_\w+)/.exec(await run(far.host, ['nft', 'list', 'sets', 'inet'])) ?? []
    await remove(near, 'globalnetworkpolicy', 'team')
    await far.stop('SIGKILL')
    // The set has room for one address, and two are to be in it.
    await run(far.host, ['nft', `add set inet margay ${set} { type ipv4_addr; size 1; }`])
    const text = JSON.stringify({ apiVersion: 'projectcalico.org/v3', ...globalPolicy('team', fromTeam) })
    assert.match((await near.margay(['apply', '-f', '-', '--confirm', '60s', '--wait', '2'], text)).stdout, /running on 1 of 2 hosts/)
    await far.start()
    const { trials = [] } = await untilStatus(far, 'the refusal', (status) => status.trials?.[0]?.state === 'refused')
    assert.match(trials[0]?.reasons.join() ?? '', new RegExp(`${set}.*ENFILE`))
    await untilStatus(far, 'to be ready', ({ isReady }) => isReady)
    assert.equal(await portStates(client.namespace, db.addresses, 80), { 80: 'open' })
    const shown = succeeded(await near.margay(['trial', 'show']))
    assert.ok(/Running on +h1\nRefused by +h2: .*set s4_.*ENFILE/.test(shown), shown)
    succeeded(await near.margay(['trial', 'cancel']))
  })
})

test('no connection is cut during a trial; what began under it ends with it, and what the confirmed policy denies with the confirmation', async () => {
  await withLab({ hosts: [0, 0], etcd: 'plain', mode: 'vxlan' }, async (lab) => {
    const [near, far] = [lab.daemon('h1'), lab.daemon('h2')]
    const closers: (() => void)[] = []
    const document = JSON.stringify({ apiVersion: 'projectcalico.org/v3', ...web(81) })
    const begins = async (time: string) => succeeded(await near.margay(['apply', '-f', '-', '--confirm', time], document))
    const open = async (fromPort: number, port: number) => {
      const streams: Stream[] = []
      for (const family of [4, 6] as const) {
        const [from, to] = [far, near].map(({ host }) => ({ namespace: host, address: family === 4 ? host.ipv4 : host.ipv6 }))
        if (from === undefined || to === undefined) throw new Error('no hosts')
        const listener = listenTcp(to.namespace, to.address, port)
        closers.push(() => listener.close())
        const stream = await streamTcp('echo', from, fromPort + family, { ...to, port }, listener)
        closers.push(() => stream.close())
        streams.push(stream)
      }
      return streams
    }
    const untilReset = (streams: readonly Stream[], deadlineMs: number) =>
      until({ what: 'resets', deadlineMs, everyMs: 20 }, async () => (streams.every((one) => one.fate() !== undefined) ? true : undefined))
    try {
      await apply(near, web(80), hostEndpoint('h1-eth0', { node: 'h1', interfaceName: 'eth0' }))
      const old = await open(45_000, 80)
      await begins('6s')
      const tried = await open(45_010, 81)
      await untilStatus(near, 'flows that would end', ({ revocation }) => revocation?.wouldEnd === old.length)
      await untilGoOn([...old, ...tried])
      assert.equal((await near.status()).revocation?.ended, {})
      await untilReset(tried, 12_000)
      await untilGoOn(old)
      assert.equal((await near.status()).revocation?.ended, { 'tier default': tried.length })
      for (const close of closers.splice(2 * old.length)) close()
      await begins('60s')
      // Ended under the policy that was: allowed on trial it may begin again, between the same ports, too.
      const again = () => connectTcp(far.host, far.host.ipv4, 45_014, near.host.ipv4, 81).then(({ socket }) => socket)
      const isRefused = (error: unknown) => (String(error).includes('ECONNREFUSED') ? undefined : Promise.reject(error))
      const confirmed = await open(45_020, 81)
      const begun = await until({ what: 'a flow to begin again', deadlineMs: 15_000, everyMs: 20 }, () => again().catch(isRefused))
      begun.destroy()
      succeeded(await near.margay(['confirm', '--wait', '25']))
      await untilReset(old, 5000)
      await untilGoOn(confirmed)
      assert.equal((await near.status()).revocation?.ended, { 'tier default': tried.length + old.length })
    } finally {
      for (const close of closers) close()
    }
  })
})

test.run()
