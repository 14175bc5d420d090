import { MargayError } from '../errors.ts'

/** What a replay found. */
export interface ReplayReport {
  readonly text: string
  readonly differences: number
}

/** Runs a recording through the planners of this version and compares what they want with what was recorded. */
export function replayRecording(recording: string): ReplayReport {
  throw new MargayError('not-built', `this version cannot replay a recording (${recording.length} characters)`)
}
