/** `POST /v1/audit/exposed`: what of this host is reachable. */
export interface ExposedRequest {
  /** Instead of the three usual places: those of this prefix. */
  readonly from?: string
}

/** Whether something is reached from a place, and what decides. `nobody`: nobody is there, or nothing of that IP version. */
export interface ExposedFrom {
  readonly verdict: 'yes' | 'no' | 'some' | 'nobody'
  readonly because: string
}

/** A socket that listens, or a port that NAT sends elsewhere. */
export interface ExposedPort {
  readonly port: number
  /** The last one, where a rule of NAT is for several. */
  readonly lastPort?: number
  readonly protocol: 'TCP' | 'UDP'
  /** The program that listens; absent where it is not known, and for NAT. */
  readonly program?: string
  /** Where it listens: `0.0.0.0` and `::` are all addresses of the host. */
  readonly address: string
  /** Where NAT sends it. */
  readonly publishedTo?: string
  /** By the place: `world`, `hosts`, `workloads`, or the prefix that was asked about. */
  readonly from: Readonly<Record<string, ExposedFrom>>
}

/** The answer. */
export interface ExposedReport {
  readonly node: string
  readonly places: readonly string[]
  readonly ports: readonly ExposedPort[]
  /** Published ports that no policy covers, and what could not be looked at. */
  readonly warnings: readonly string[]
}
