import { execFileSync } from 'node:child_process'
import type { World } from './conformance-kit.ts'
import { createKernel, type RealKernel } from './kernel.ts'
import type { NftObject } from './objects.ts'
import type { KernelTable } from './table.ts'

/** A network namespace of its own with the real kernel, for tests as root. `ip` and `bridge` look and play the others. */
export interface RealWorld extends World {
  readonly kernel: RealKernel
  readonly netns: string
  /** Runs `ip` inside, gives what it says. */
  ip(command: string): string
  bridge(command: string): string
  /** Opens a second kernel over the same namespace, as after a restart. Closed with the world. */
  restart(): RealKernel
}

/** Makes a world with `eth0` (a veth whose other end `far0` is there too) that has 192.0.2.10/24 and 2001:db8::10/64. */
export function openRealWorld(options: { readonly receiveBufferBytes?: number } = {}): RealWorld {
  // The runner takes away what carries the id of a process that was killed.
  const name = `mgt-${process.pid}-k${Math.random().toString(36).slice(2, 8)}`
  const netns = `/run/netns/${name}`
  const added = new Set<string>()
  run('ip', `netns add ${name}`)
  const ip = (command: string) => run('ip', `-n ${name} ${command}`)
  const bridge = (command: string) => run('bridge', `-n ${name} ${command}`)
  // One process for all: on a slow machine each takes a tenth of a second.
  run('ip', `-n ${name} -batch -`, SETUP.join('\n'))
  const open = () => createKernel({ netns, policy: noPolicy, ...options })
  const kernels = [open()]
  return {
    kernel: kernels[0] as RealKernel,
    ...{ netns, ip, bridge },
    restart() {
      const kernel = open()
      kernels.push(kernel)
      return kernel
    },
    addNetns() {
      const inner = `${name}-w${added.size}`
      run('ip', `netns add ${inner}`)
      added.add(inner)
      return `/run/netns/${inner}`
    },
    removeNetns(path) {
      run('ip', `netns delete ${path.replace('/run/netns/', '')}`)
      added.delete(path.replace('/run/netns/', ''))
    },
    others: {
      removeRoute: ({ destination }) => void ip(`route del ${destination}`),
      removeFdb: (link, mac) => void bridge(`fdb del ${mac} dev ${link}`),
      removeLink: (link) => void ip(`link del ${link}`),
      flushAddresses: (link) => void ip(`addr flush dev ${link}`),
      setMtu: (link, mtuBytes) => void ip(`link set ${link} mtu ${mtuBytes}`),
    },
    close() {
      for (const kernel of kernels) kernel.close()
      for (const inner of [...added, name]) run('ip', `netns delete ${inner}`)
    },
  }
}

const SETUP = [
  'link set lo up',
  'link add eth0 address 02:00:5e:00:53:10 type veth peer name far0',
  // Else their link-local addresses come up some time later, and make events in the middle of a test.
  'link set far0 addrgenmode none',
  'link set eth0 addrgenmode none',
  'link set far0 up',
  'link set eth0 up',
  'addr add 192.0.2.10/24 dev eth0',
  'addr add 2001:db8::10/64 dev eth0 nodad',
]

const noPolicy: KernelTable<NftObject> = { list: async () => new Map(), commit: async () => new Map() }

function run(program: string, command: string, input = ''): string {
  return execFileSync(program, command.split(' '), { encoding: 'utf8', stdio: ['pipe', 'pipe', 'pipe'], input })
}
