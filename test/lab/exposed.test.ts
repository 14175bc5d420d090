import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { run, start, stop, until } from '../../scripts/lab/command.ts'
import { untilStatus } from '../../scripts/lab/daemon.ts'
import type { ExposedReport } from '../../src/model/own/exposed.ts'
import { succeeded, withLab } from '../support/scenario.ts'

const test = suite('lab/exposed')

/** A program that the kernel calls web, on a port of its own. */
const SERVER = `
process.title = 'web'
require('node:net').createServer(() => {}).listen(8000, '0.0.0.0', () => console.log('listening'))
`

/** As Docker writes them. */
const DOCKER = `
table ip nat {
  chain DOCKER { iifname != "docker0" tcp dport 8080 dnat to 172.17.0.2:80; }
  chain PREROUTING { type nat hook prerouting priority -100; fib daddr type local jump DOCKER; }
}
table ip filter {
  chain DOCKER-USER { return; }
  chain FORWARD { type filter hook forward priority 0; policy drop; jump DOCKER-USER; }
}`

const document = (kind: string, name: string, spec: string) =>
  `apiVersion: projectcalico.org/v3\nkind: ${kind}\nmetadata: {name: ${name}, labels: {role: host}}\nspec: {${spec}}\n`

test('what listens and what Docker publishes is judged by policy, and foreign drops are told with their cure', async () => {
  await withLab({ hosts: [0, 0], etcd: 'plain' }, async (lab) => {
    const h1 = lab.daemon('h1')
    await lab.addWorkload('h1', 'w1')
    await untilStatus(h1, 'h2 among the peers', ({ peers }) => peers.some(({ node }) => node === 'h2'))
    await run(h1.host, [
      'sh',
      '-c',
      'ip link add docker0 type veth peer name docker1 && ip link set docker1 up && ip addr add 172.17.0.1/16 dev docker0 && ip link set docker0 up',
    ])
    await run(h1.host, ['nft', DOCKER])
    const server = start(h1.host, [process.execPath, '-e', SERVER], { stdio: ['ignore', 'pipe', 'inherit'] })
    try {
      await until({ what: 'a program to listen' }, () => new Promise<true>((resolve) => server.stdout?.once('data', () => resolve(true))))
      const audit = async (...words: readonly string[]) =>
        JSON.parse(succeeded(await h1.margay(['audit', 'exposed', '-o', 'json', ...words]))) as ExposedReport
      const open = await audit()
      const web = open.ports.find(({ program }) => program === 'web')
      assert.equal([web?.port, web?.protocol, web?.address], [8000, 'TCP', '0.0.0.0'])
      assert.equal(web?.from, {
        world: { verdict: 'yes', because: 'no host endpoint' },
        hosts: { verdict: 'yes', because: 'no host endpoint' },
        workloads: { verdict: 'yes', because: 'defaultEndpointToHostAction' },
      })
      const { warnings } = await h1.status()
      assert.ok(
        warnings.some((text) =>
          /chain FORWARD in table ip filter.*what workloads send.*iptables -I DOCKER-USER -i mgy\+ -j ACCEPT$/.test(text),
        ),
        warnings.join('\n'),
      )
      const policy = document(
        'GlobalNetworkPolicy',
        'web',
        `selector: role == 'host', types: [Ingress], ingress: [{action: Allow, protocol: TCP, source: {nets: [${lab.daemon('h2').host.ipv4}/32]}, destination: {ports: [8000]}}]`,
      )
      const endpoint = document('HostEndpoint', 'h1-eth0', 'node: h1, interfaceName: eth0')
      succeeded(await h1.margay(['apply', '--wait', '-f', '-'], `${policy}---\n${endpoint}`))
      const closed = await audit()
      const row = closed.ports.find(({ port, address }) => port === 8000 && address === '0.0.0.0')
      assert.equal(
        [row?.from['world']?.verdict, row?.from['hosts']],
        ['no', { verdict: 'yes', because: 'GlobalNetworkPolicy web, ingress rule 0: Allow TCP from 192.0.2.12/32 to port 8000' }],
      )
      const published = closed.ports.find(({ publishedTo }) => publishedTo === '172.17.0.2:80')
      assert.equal([published?.port, published?.from['world']?.verdict], [8080, 'yes'])
      assert.match(
        closed.warnings.join('\n'),
        /TCP port 8080 is published to 172\.17\.0\.2:80, and no policy with preDNAT or applyOnForward is asked/,
      )
      const raw = `selector: role == 'host', order: 1, preDNAT: true, applyOnForward: true, types: [Ingress], ingress: [{action: Deny, protocol: TCP, destination: {ports: [8080]}}]`
      succeeded(await h1.margay(['apply', '--wait', '-f', '-'], document('GlobalNetworkPolicy', 'published', raw)))
      const covered = await audit('--from', '198.51.100.0/24')
      const from = covered.ports.find(({ publishedTo }) => publishedTo !== undefined)?.from
      assert.equal(from?.['198.51.100.0/24']?.verdict, 'no')
      assert.is(covered.warnings.join('\n').includes('published'), false)
      const text = succeeded(await h1.margay(['audit', 'exposed', '--from', 'world']))
      assert.match(text, /^PORT +PROTO +PROGRAM +ADDRESS +FROM WORLD\n/)
      assert.match(
        text,
        /^8080 +TCP +\(NAT\) +any to 172\.17\.0\.2:80 +no: pre-dnat, host endpoint h1-eth0: GlobalNetworkPolicy published/m,
      )
      const wrong = await h1.margay(['audit', 'exposed', '--from', 'moon'])
      assert.equal([wrong.code, /"moon" is neither world, hosts, workloads nor an address or a prefix/.test(wrong.stderr)], [1, true])
    } finally {
      await stop(server, 'SIGKILL')
    }
  })
})

test.run()
