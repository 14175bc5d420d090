import type { EncapDriver, Local, Peer, Reach, Unreachable } from '../encap/driver.ts'
import { DRIVER_OF } from '../encap/drivers.ts'
import type { Receive } from '../model/own/live.ts'
import type { Family } from '../net/ip.ts'

/** What a sender knows of one peer and one pool while the pool's mode is switched. */
export interface SwitchInput {
  /** The way that the pool's mode means for this peer. */
  readonly wanted: Receive
  /** What the peer says it receives for this pool (LiveRecord.receives); undefined when it says nothing. */
  readonly peerReceives: readonly Receive[] | undefined
  readonly isPeerAlive: boolean
  /** The peer was waited for long enough. */
  readonly hasTimedOut: boolean
  /** Whether this host can still send this way: its device stands. */
  readonly isStanding: (way: Receive) => boolean
}

/** Which way a sender uses now, and whether that is because it waits for the peer. */
export interface Choice {
  readonly way: Receive
  readonly isWaiting: boolean
}

/**
 * The second phase of a switch: receivers build the new side first and say so; a sender keeps to the way that the peer still
 * receives until the peer says that it receives the new one, is not alive to say it, or was waited for too long.
 * A function of what is known now: there is no "current mode" to be remembered, and a restart in the middle changes nothing.
 */
export function chooseEncap({ wanted, peerReceives, isPeerAlive, hasTimedOut, isStanding }: SwitchInput): Choice {
  const formerly = peerReceives?.find((way) => way !== wanted && isStanding(way))
  const isReady = peerReceives === undefined || peerReceives.includes(wanted) || !isPeerAlive || hasTimedOut
  if (isReady || formerly === undefined) return { way: wanted, isWaiting: false }
  return { way: formerly, isWaiting: true }
}

/** Everything on which the way to one peer for one pool depends. */
export interface PathInput extends Omit<SwitchInput, 'wanted'> {
  readonly local: Local
  readonly peer: Peer
  readonly family: Family
  readonly driver: EncapDriver
}

/** How packets of one pool get to one peer now. */
export interface Path {
  readonly reach: Reach | Unreachable
  /** The way that is wanted and waited for; undefined when it is the one in use. */
  readonly waitsFor: Receive | undefined
}

/**
 * How packets of one pool get to one peer now: the driver's way, or the way of before while the peer is not ready, or while the tunnel
 * addresses that the new way needs are still being taken.
 */
export function pathTo({ local, peer, family, driver, ...known }: PathInput): Path {
  const wanted = driver.reach(local, peer, family)
  if (wanted.via === 'none')
    return wanted.isPending === true
      ? untilReady({ local, peer, family, driver, ...known }, wanted)
      : { reach: wanted, waitsFor: undefined }
  const choice = chooseEncap({ ...known, wanted: wanted.via })
  if (!choice.isWaiting) return { reach: wanted, waitsFor: undefined }
  const former = DRIVER_OF[choice.way].reach(local, peer, family)
  // The way of before leads nowhere for this peer: there is nothing to be kept up.
  return former.via === 'none' ? { reach: wanted, waitsFor: undefined } : { reach: former, waitsFor: wanted.via }
}

/** The way that a live peer still receives, if it leads there; only for as long as one waits for a switch. */
function untilReady(
  { local, peer, family, driver, peerReceives, isPeerAlive, hasTimedOut, isStanding }: PathInput,
  wanted: Unreachable,
): Path {
  const former = peerReceives?.find((way) => !driver.receives.includes(way) && isStanding(way))
  const reach = former === undefined || !isPeerAlive || hasTimedOut ? wanted : DRIVER_OF[former].reach(local, peer, family)
  const [waitsFor] = driver.receives
  return reach.via === 'none' ? { reach: wanted, waitsFor: undefined } : { reach, waitsFor }
}
