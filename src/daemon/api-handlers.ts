import { MargayError } from '../errors.ts'
import type { RealKernel } from '../kernel/kernel.ts'
import type { ApiHandlers } from './api.ts'
import { asLines } from './daemon-parts.ts'
import type { Flows } from './flows.ts'
import type { PassLog } from './passes.ts'
import type { Questions } from './questions.ts'
import type { Recorder } from './record.ts'
import { desiredReport, diffReport, notReady, type StatusParts, statusReport } from './status.ts'
import type { Workloads } from './workloads.ts'

/** Who answers what is asked on the socket. */
export interface HandlerParts {
  readonly status: () => StatusParts
  readonly kernel: Pick<RealKernel, 'tables'>
  readonly questions: Questions
  readonly workloads: Workloads
  readonly passes: PassLog
  readonly flows: Flows
  readonly recorder: Recorder
  readonly reload: () => void
}

/** The answers to what is asked on the socket. */
export function createHandlers({ status, kernel, questions, workloads, passes, flows, recorder, reload }: HandlerParts): ApiHandlers {
  /** Before the first view nothing is wanted yet: an empty answer would say that all that stands in the kernel is to go. */
  const onceKnown = <T>(answer: (parts: StatusParts) => T): T => {
    const parts = status()
    if (parts.planner.context !== undefined) return answer(parts)
    throw new MargayError('not-ready', `nothing is known yet, the kernel is left as it is: ${notReady(parts).join('; ')}`)
  }
  return {
    status: async () => statusReport(status(), await questions.foreignWarnings()),
    observe: (request, signal) => questions.observe(request, signal),
    exposed: (request, signal) => questions.exposed(request, signal),
    desired: () => onceKnown(({ merger }) => desiredReport(merger)),
    diff: async (signal) => onceKnown(({ merger }) => diffReport(kernel.tables, merger, signal)),
    workloads: () => onceKnown(() => workloads.list()),
    workload: (namespace, name) => onceKnown(() => workloads.get(namespace, name)),
    attach: (request, signal) => workloads.attach(request, signal),
    detach: (namespace, name, signal) => workloads.detach(namespace, name, signal),
    passes: () => passes.list(),
    reload,
    flows: (isFollowing, signal) => asLines(isFollowing ? flows.follow(signal) : flows.recent()),
    stats: (signal) => onceKnown(() => flows.stats(signal)),
    record: (seconds, signal) => recorder.record(status().source.view, status().host, seconds, signal),
  }
}
