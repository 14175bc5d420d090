import type { AskKind } from '../model/own/ask.ts'
import { answerExplain } from './answer-explain.ts'
import { answerFlows } from './answer-flows.ts'
import { answerSessions } from './answer-sessions.ts'
import type { Responder } from './answers.ts'
import { AskedHost, type AskedParts } from './asked-host.ts'
import { listConnections } from './daemon-parts.ts'

/** Who answers which kind of question. */
export function createResponders(parts: AskedParts): Readonly<Record<AskKind, Responder>> {
  const asked = new AskedHost(parts)
  return {
    explain: (body, signal) => answerExplain(asked, body, signal),
    sessions: (body, signal) => answerSessions(asked, body, signal),
    flows: (body, signal) => answerFlows(asked, listConnections, body, signal),
  }
}
