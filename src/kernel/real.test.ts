import { execFileSync } from 'node:child_process'
import { suite } from 'uvu'
import { addConformance, type World } from './conformance.ts'
import { createKernel } from './kernel.ts'
import type { NftObject } from './objects.ts'
import type { KernelTable } from './table.ts'

const test = suite('kernel/real')
let worlds = 0

/** Runs a program of iproute2; it may say that something is gone already. */
function ip(...args: string[]): string {
  return execFileSync('ip', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
}

function open(): World {
  const name = `mgt-${process.pid}-${++worlds}`
  const added: string[] = []
  const addNetns = () => {
    const inner = `${name}-w${added.length}`
    ip('netns', 'add', inner)
    added.push(inner)
    return `/run/netns/${inner}`
  }
  ip('netns', 'add', name)
  const inside = (...args: string[]) => ip('-n', name, ...args)
  for (const args of [
    'link set lo up',
    'link add eth0 type veth peer name far0',
    'link set far0 up',
    'link set eth0 up',
    'addr add 192.0.2.10/24 dev eth0',
    'addr add 2001:db8::10/64 dev eth0 nodad',
  ]) {
    inside(...args.split(' '))
  }
  const policy: KernelTable<NftObject> = { list: async () => new Map(), commit: async () => new Map() }
  const kernel = createKernel({ netns: `/run/netns/${name}`, policy })
  return {
    kernel,
    addNetns,
    removeNetns(path) {
      ip('netns', 'delete', path.replace('/run/netns/', ''))
      added.splice(added.indexOf(path.replace('/run/netns/', '')), 1)
    },
    others: {
      removeRoute: ({ destination }) => void inside('route', 'del', destination),
      removeFdb: (link, mac) => void execFileSync('bridge', ['-n', name, 'fdb', 'del', mac, 'dev', link]),
      removeLink: (link) => void inside('link', 'del', link),
      flushAddresses: (link) => void inside('addr', 'flush', 'dev', link),
      setMtu: (link, mtuBytes) => void inside('link', 'set', link, 'mtu', String(mtuBytes)),
    },
    close() {
      kernel.close()
      for (const inner of added) ip('netns', 'delete', inner)
      ip('netns', 'delete', name)
    },
  }
}

addConformance(test, open)

test.run()
