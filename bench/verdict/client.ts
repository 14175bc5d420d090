import { checked, loadNative, type Native } from '../../src/kernel/native.ts'
import { withNetns } from '../../src/kernel/netns.ts'
import { type Ip, ipToBytes, parseIp } from '../../src/net/ip.ts'
import type { Store, Write } from '../../src/store/store.ts'
import { encodePacket, markerOf } from '../../test/support/raw-packets.ts'
import { plainEtcd } from '../../test/support/store.ts'
import {
  changedPolicy,
  endpointWrite,
  endpointWrites,
  MEMBER_PORT,
  memberPolicy,
  STRANGER,
  type VerdictSize,
  worldWrites,
  writeOf,
} from './world.ts'
import { nowMs, openWriter, serveWriter, type Writer } from './writer.ts'

/** What a client in the router's namespace, where etcd is, is to do. */
export type ClientTask =
  | { readonly do: 'load'; readonly endpoint: string; readonly size: VerdictSize }
  | { readonly do: 'load-remote'; readonly endpoint: string; readonly count: number }
  | { readonly do: 'write'; readonly endpoint: string }
  | (ProbeTask & { readonly do: 'probe' })

/** Changes what is in the store, again and again, and waits for the verdict about packets to become another. */
export interface ProbeTask {
  readonly endpoint: string
  readonly size: VerdictSize
  /** The network namespace of the workload that packets are sent to, and its address. */
  readonly netns: string
  readonly address: string
  readonly change: ChangeKind
  /** How often the change is made. */
  readonly rounds: number
}

/** A workload of another host becomes a member of a set, or a policy gets another rule. */
export type ChangeKind = 'relabelled' | 'policy'

/** Milliseconds from sending the write, one for each change. */
export interface ProbeResult {
  readonly verdictMs: readonly number[]
  /** To etcd's answer, as the writer saw it. */
  readonly writeMs: readonly number[]
  readonly faults: readonly string[]
}

/** What that process does; the answer goes to its standard output. */
export async function client(argument: string): Promise<void> {
  const task = JSON.parse(argument) as ClientTask
  if (task.do === 'probe') return void process.stdout.write(JSON.stringify(await probe(task)))
  const store = plainEtcd([task.endpoint])
  try {
    if (task.do === 'write') await serveWriter(store)
    else await load(task, store)
  } finally {
    store.close()
  }
}

async function load(task: Extract<ClientTask, { readonly do: 'load' | 'load-remote' }>, store: Store): Promise<void> {
  if (task.do === 'load') for (const writes of worldWrites(task.size)) await store.commit([], writes, never)
  else {
    await store.commit([], [writeOf(memberPolicy())], never)
    for (const writes of endpointWrites(task.count, 0)) await store.commit([], writes, never)
  }
}

const never = new AbortController().signal
/** Between two packets. Milliseconds: a thread can't sleep much shorter. */
const EVERY_MS = 0.2
/** So many packets must be denied before a change. */
const DENIED = 25
const DEADLINE_MS = 5000
/** Between two changes, so that each has a pass of its own. Milliseconds. */
const REST_MS = 30

async function probe({ endpoint, size, netns, address, rounds, change }: ProbeTask): Promise<ProbeResult> {
  const wire = openWire(netns, parseIp(address))
  const writer = openWriter(process.argv[1] ?? '', endpoint)
  const faults: string[] = []
  const verdictMs: number[] = []
  const writeMs: number[] = []
  try {
    // What a first write costs its writer is none of the daemon's.
    const warm = writer.end()
    writer.begin({ put: '/bench/begun', value: change })
    await warm
    for (let round = 0; round < rounds; round += 1) {
      // Each change lets something through that nothing let through before.
      const [index, port] = [size.members + round, FIRST_PORT + round]
      const [flow, write] =
        change === 'relabelled'
          ? [{ source: addressOf(index), port: MEMBER_PORT }, endpointWrite(index, 0)]
          : [{ source: parseIp(STRANGER), port }, changedPolicy(size.policies, port)]
      const outcome = await changeAndWait(wire, flow, writer, write)
      if (typeof outcome === 'string') faults.push(`${change}, round ${round}: ${outcome}`)
      else {
        verdictMs.push(outcome.verdictMs)
        writeMs.push(outcome.writeMs)
      }
      pauseMs(REST_MS)
    }
  } finally {
    wire.close()
    await writer.close()
  }
  return { verdictMs, writeMs, faults }
}

const FIRST_PORT = 10_000

/** Who sends to which UDP port. */
interface Flow {
  readonly source: Ip
  readonly port: number
}

/** Gives how long it took until a packet got through, or what was wrong. */
async function changeAndWait(wire: Wire, flow: Flow, writer: Writer, write: Write) {
  for (let sent = 0; sent < DENIED; sent += 1) {
    wire.send(flow)
    pauseMs(EVERY_MS)
    if (wire.hasCome(flow)) return 'a packet got through before the change'
  }
  const answered = writer.end()
  const { begunMs } = writer.begin(write)
  do {
    wire.send(flow)
    pauseMs(EVERY_MS)
    if (nowMs() - begunMs > DEADLINE_MS) return `no packet got through within ${DEADLINE_MS} ms`
  } while (!wire.hasCome(flow))
  const verdictMs = nowMs() - begunMs
  return { verdictMs, writeMs: (await answered).answeredMs - begunMs }
}

const sleeper = new Int32Array(new SharedArrayBuffer(4))

function pauseMs(ms: number): void {
  Atomics.wait(sleeper, 0, 0, ms)
}

/** Sends from this namespace under any address, and sees what the workload gets. */
interface Wire {
  send(flow: Flow): void
  /** Whether a packet of the flow, or of one before with the same ends, has come since the last call. */
  hasCome(flow: Flow): boolean
  close(): void
}

const AF_INET = 2
const SOCK_RAW = 3
const IPPROTO_UDP = 17
const IPPROTO_RAW = 255

function openWire(netns: string, address: Ip): Wire {
  const native = loadNative()
  const out = checked(native.socket(AF_INET, SOCK_RAW, IPPROTO_RAW), 'make a socket that sends')
  const into = withNetns(netns, () => checked(native.socket(AF_INET, SOCK_RAW, IPPROTO_UDP), 'make a socket that receives'))
  const buffer = Buffer.alloc(2048)
  return {
    send: ({ source, port }) => {
      const packet = {
        family: 4,
        protocol: IPPROTO_UDP,
        source: { address: source, port: 40_000 },
        destination: { address, port },
      } as const
      checked(native.send(out, encodePacket(packet, idOf({ source, port })), destinationOf(address)), 'send a packet')
    },
    hasCome: (flow) => receive(native, into, buffer).includes(idOf(flow)),
    close: () => {
      native.close(out)
      native.close(into)
    },
  }
}

/** The numbers of all packets that have come. */
function receive(native: Native, fd: number, buffer: Buffer): readonly number[] {
  const ids: number[] = []
  for (let length = native.recv(fd, buffer); length >= 0; length = native.recv(fd, buffer)) {
    const id = markerOf(buffer.subarray(0, Math.min(length, buffer.length)))
    if (id !== undefined) ids.push(id)
  }
  return ids
}

/** A number for each flow. */
function idOf({ source, port }: Flow): number {
  return ((Buffer.from(ipToBytes(source)).readUInt16BE(2) << 16) ^ port) >>> 0
}

function destinationOf(address: Ip): Buffer {
  const bytes = Buffer.alloc(16)
  bytes.writeUInt16LE(AF_INET, 0)
  bytes.set(ipToBytes(address), 4)
  return bytes
}

/** As `synthetic-endpoints` gives it. */
function addressOf(index: number): Ip {
  return parseIp(`10.${64 + (index >> 16)}.${(index >> 8) & 255}.${index & 255}`)
}
