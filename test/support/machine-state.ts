import type { Machine } from '../../scripts/lab/machine.ts'

/** What a host has, as texts by what they show: two hosts are the same when these are. */
export type HostState = Readonly<Record<string, string>>

/** Parameters that count or are drawn, so that they are different each time. */
const VOLATILE = /nf_conntrack_count|fastopen_key|stable_secret|tcp_mem|udp_mem|ip_local_port_range/

/** The kernel's own routes of a host that forwards IPv6, which kernel parameters say: those are looked at by themselves. */
const OF_FORWARDING = /^anycast .*\n/gm

/** What of the network a host has in its kernel, without anything that counts or ages. */
export async function networkOf(machine: Machine): Promise<HostState> {
  const show = {
    links: ['ip', '-o', 'link'],
    addresses: ['ip', '-o', 'address', 'show', 'scope', 'global'],
    routes: ['ip', '-4', 'route', 'show', 'table', 'all'],
    routes6: ['ip', '-6', 'route', 'show', 'table', 'all'],
    rules: ['ip', '-4', 'rule'],
    rules6: ['ip', '-6', 'rule'],
    neighbours: ['ip', 'neighbour', 'show', 'nud', 'permanent'],
    namespaces: ['ip', 'netns', 'list'],
    nft: ['nft', 'list', 'ruleset'],
    // `ip netns add` makes the first of these, and leaves it.
    mounts: ['sh', '-c', 'findmnt -rn -o TARGET,FSTYPE | grep -v "^/run/netns tmpfs$"'],
  }
  const texts = await Promise.all(
    Object.entries(show).map(async ([name, argv]) => [name, (await machine.run(argv)).replaceAll(OF_FORWARDING, '')] as const),
  )
  return Object.fromEntries(texts)
}

/** The kernel parameters of a host's network. */
export async function parametersOf(machine: Machine): Promise<readonly string[]> {
  const text = await machine.run(['sysctl', '--all', '--pattern', '^net'])
  return text.split('\n').filter((line) => !VOLATILE.test(line))
}

/**
 * What is on a host's disk, below what a package may write to: every path, and who its users, groups and enabled units are. Not
 * what dpkg, apt and the journal note about every package.
 */
export async function filesOf(machine: Machine): Promise<HostState> {
  const noted = ['/var/lib/dpkg', '/var/lib/apt', '/var/cache', '/var/log', '/var/lib/systemd/catalog', '/var/lib/systemd/random-seed']
  const skipped = noted.flatMap((path) => ['-path', path, '-prune', '-o'])
  const folders = ['/etc', '/usr', '/var', '/opt', '/srv', '/root', '/home', '/run/margay']
  const [paths, users, groups] = await Promise.all([
    machine.try(['find', ...folders, '-xdev', ...skipped, '-print']),
    machine.run(['cat', '/etc/passwd']),
    machine.run(['cat', '/etc/group', '/etc/gshadow']),
  ])
  return { paths: paths.stdout.split('\n').sort().join('\n'), users, groups }
}

/** What is in one text and not in the other, by line; empty when they are the same. For messages that a person can read. */
export function differences(before: HostState, after: HostState): readonly string[] {
  return Object.keys(before).flatMap((name) => {
    const [was, is] = [before[name] ?? '', after[name] ?? ''].map((text) => new Set(text.split('\n')))
    const gone = [...(was ?? [])].filter((line) => !is?.has(line)).map((line) => `${name}: - ${line}`)
    const come = [...(is ?? [])].filter((line) => !was?.has(line)).map((line) => `${name}: + ${line}`)
    return [...gone, ...come]
  })
}
