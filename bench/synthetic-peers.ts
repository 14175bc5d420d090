import { tryRun } from '../scripts/lab/command.ts'
import { unpacked } from '../scripts/lab/etcd.ts'
import type { Lab } from '../scripts/lab/lab.ts'
import { encodeBlock, encodeResource } from '../src/model/codec.ts'
import { blockKey, resourceKey } from '../src/model/keys.ts'
import { aBlock, aNode } from '../test/support/planning.ts'

/** etcd takes 128 operations in one transaction. */
const BATCH = 128

/** Writes so many peers into the lab's etcd: for each a Node with tunnel address and MAC, and a block that it owns. */
export async function loadPeers(lab: Lab, count: number): Promise<void> {
  // In double quotes: etcdctl 3.4 cuts what stands in single ones.
  const puts: string[] = []
  for (let peer = 0; peer < count; peer += 1) {
    puts.push(`put ${resourceKey('Node', nameOf(peer))} ${JSON.stringify(nodeOf(peer, 0))}`)
    const block = aBlock(`${tunnelOf(peer)}/26`, nameOf(peer), { [tunnelOf(peer)]: nameOf(peer) })
    puts.push(`put ${blockKey(block.cidr)} ${JSON.stringify(encodeBlock(block))}`)
  }
  for (let start = 0; start < puts.length; start += BATCH) await transact(lab, puts.slice(start, start + BATCH))
}

/** Gives a peer another underlay address (once); gives the revision of the change. */
export async function movePeer(lab: Lab, peer: number): Promise<number> {
  const put = ['put', resourceKey('Node', nameOf(peer)), nodeOf(peer, 1), '-w', 'json']
  const { header } = JSON.parse(await lab.etcd.control(put)) as { readonly header: { readonly revision: number } }
  return header.revision
}

function nameOf(peer: number): string {
  return `peer-${String(peer).padStart(5, '0')}`
}

/** The first address of the peer's block, 10.80.0.0/26 and so on. */
function tunnelOf(peer: number): string {
  const at = peer * 64
  return `10.${80 + (at >> 16)}.${(at >> 8) & 255}.${at & 255}`
}

/** Underlay addresses of 198.18.0.0/15, which is kept for benchmarks (RFC 2544); the MAC stays, so only the FDB entry changes. */
function nodeOf(peer: number, move: number): string {
  const mac = ['66', '00', '00', '00', hex(peer >> 8), hex(peer & 255)].join(':')
  return encodeResource(aNode(nameOf(peer), { v4: `198.${18 + move}.${peer >> 8}.${peer & 255}/32`, tunnel4: tunnelOf(peer), mac4: mac }))
}

function hex(byte: number): string {
  return byte.toString(16).padStart(2, '0')
}

async function transact(lab: Lab, puts: readonly string[]): Promise<void> {
  const input = `\n${puts.join('\n')}\n\n\n`
  const argv = [unpacked('usr/bin/etcdctl'), '--endpoints', lab.etcd.endpoint, 'txn']
  const { code, stdout, stderr } = await tryRun(lab.topology.router, argv, { input, env: { ETCDCTL_API: '3' } })
  if (code !== 0 || !stdout.includes('SUCCESS'))
    throw new Error(`the peers could not be written: ${(stderr || stdout).trim().slice(0, 300)}`)
}
