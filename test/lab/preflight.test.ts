// at most 240 s
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type Place, start, stop, until } from '../../scripts/lab/command.ts'
import { untilStatus } from '../../scripts/lab/daemon.ts'
import { hostCidr } from '../../src/net/cidr.ts'
import { parseIp } from '../../src/net/ip.ts'
import { shareLab, succeeded } from '../support/scenario.ts'

const test = suite('lab/preflight')
const inLab = shareLab(test, { hosts: [0, 0], etcd: 'plain' })

/** A program that the kernel calls sshd, with one connection that stays. */
const SERVER = `
process.title = 'sshd'
require('node:net').createServer((socket) => socket.on('error', () => {})).listen(2222, '::', () => console.log('listening'))
`
const CLIENT = `
const socket = require('node:net').connect(2222, process.argv[1], () => console.log('connected'))
socket.on('error', () => process.exit(1))
`

/** Starts a program in a namespace, and gives what ends it when it has said that it is ready. */
async function startProgram(place: Place, script: string, ...args: readonly string[]): Promise<() => Promise<void>> {
  const child = start(place, [process.execPath, '-e', script, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
  let said = ''
  child.stdout?.on('data', (text) => {
    said += String(text)
  })
  await until({ what: 'a program to be ready' }, async () => (said === '' ? undefined : true))
  return () => stop(child, 'SIGKILL')
}

const document = (kind: string, name: string, spec: string) =>
  `apiVersion: projectcalico.org/v3\nkind: ${kind}\nmetadata: {name: ${name}, labels: {role: host}}\nspec: {${spec}}\n`
const ENDPOINT = document('HostEndpoint', 'h1-eth0', 'node: h1, interfaceName: eth0')
const ssh = (address: string) =>
  document(
    'GlobalNetworkPolicy',
    'ssh',
    `selector: role == 'host', types: [Ingress], ingress: [{action: Allow, protocol: TCP, source: {nets: ["${hostCidr(parseIp(address))}"]}, destination: {ports: [2222]}}]`,
  )

for (const family of [4, 6] as const) {
  test(`IPv${family}: sessions of SSH and connections to etcd are found on the host, and what would cut them is refused`, async () => {
    await inLab(async (lab) => {
      const [h1, h2] = [lab.daemon('h1'), lab.daemon('h2')]
      const [to = '', from = ''] = (family === 4 ? [h1.host.ipv4, h2.host.ipv4] : [h1.host.ipv6, h2.host.ipv6]).map((text) => parseIp(text))
      const endServer = await startProgram(h1.host, SERVER)
      const endClient = await startProgram(h2.host, CLIENT, to)
      try {
        // Another host applies it: nobody has told it where administrators are.
        const refused = await h2.margay(['apply', '-f', '-'], ENDPOINT)
        assert.is(refused.code, 1)
        assert.ok(refused.stderr.includes(`h1: SSH from ${from} port `), refused.stderr)
        assert.ok(refused.stderr.includes(`to ${to} port 2222: to-host, host endpoint h1-eth0: no policy applies`), refused.stderr)
        assert.is(/note: h\d/.test(refused.stderr), false, refused.stderr)
        assert.is(succeeded(await h2.margay(['apply', '-f', '-'], `${ssh(from)}---\n${ENDPOINT}`)).includes('created'), true)
        // What hosts always let through is asked after the rules before connection tracking.
        const felix = document('FelixConfiguration', 'default', 'failsafeOutboundHostPorts: []')
        const raw = `selector: role == 'host', doNotTrack: true, applyOnForward: true, types: [Egress], egress: [{action: Deny, protocol: TCP}]`
        const closed = document('GlobalNetworkPolicy', 'raw', raw)
        const etcd = await h1.margay(['apply', '-f', '-'], `${felix}---\n${closed}`)
        assert.is(etcd.code, 1)
        assert.match(
          etcd.stderr,
          /h1: etcd from 192\.0\.2\.\d+ port \d+ to 192\.0\.2\.254 port \d+: untracked, host endpoint h1-eth0: GlobalNetworkPolicy raw/,
        )
        // Without the session there is nothing to cut.
        await endClient()
        assert.match(succeeded(await h1.margay(['delete', 'gnp', 'ssh'])), /deleted/)
        succeeded(await h1.margay(['delete', 'hostendpoint', 'h1-eth0', '--wait', '20']))
      } finally {
        await endClient()
        await endServer()
      }
    })
  })
}

test('a host that is silent is looked at by what the store knows, after 5 s', async () => {
  await inLab(async (lab) => {
    // Of a host that has never been in the network nothing is known.
    await untilStatus(lab.daemon('h2'), 'h1 among the peers', ({ peers }) => peers.some(({ node }) => node === 'h1'))
    process.kill(lab.daemon('h1').pid(), 'SIGSTOP')
    try {
      const begin = performance.now()
      const { code, stderr } = await lab.daemon('h2').margay(['apply', '-f', '-'], ENDPOINT)
      assert.is(code, 0)
      const note = /note: h1 did not answer within 5 s: of its connections only those are looked at that follow from the store/
      assert.ok(note.test(stderr), stderr)
      const took = performance.now() - begin
      assert.ok(took > 4900 && took < 12_000, `it took ${took} ms`)
    } finally {
      process.kill(lab.daemon('h1').pid(), 'SIGCONT')
    }
  })
})

test.run()
