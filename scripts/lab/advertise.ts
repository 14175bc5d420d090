import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { start, stop } from './command.ts'
import { unpacked } from './etcd.ts'
import type { Topology } from './topology.ts'

/** Lets the router send advertisements (RFC 4861) in the first subnet, as a default router for 9 s, every 3 to 4 s. */
export async function startAdvertising(topology: Topology, folder: string): Promise<{ stop(): Promise<void> }> {
  mkdirSync(folder, { recursive: true })
  const path = join(folder, 'radvd.conf')
  const interface_ = [
    'interface eth0 {',
    '  AdvSendAdvert on; MinRtrAdvInterval 3; MaxRtrAdvInterval 4; AdvDefaultLifetime 9;',
    '  prefix 2001:db8:0::/64 { AdvOnLink on; AdvAutonomous off; };',
    '};',
  ]
  writeFileSync(path, `${interface_.join('\n')}\n`, { mode: 0o644 })
  const child = start(topology.router, [unpacked('usr/sbin/radvd'), '-n', '-C', path, '-p', join(folder, 'radvd.pid'), '-m', 'none'])
  child.unref()
  return { stop: () => stop(child, 'SIGKILL') }
}
