import type * as uvu from 'uvu'
import * as assert from 'uvu/assert'
import type { Ended } from '../../scripts/lab/command.ts'
import { logTail } from '../../scripts/lab/etcd.ts'
import { type Lab, type LabSpec, openLab, startLab } from '../../scripts/lab/lab.ts'

/** Runs with a lab whose daemons all run, and closes it however that ends. */
export async function withLab(spec: LabSpec, action: (lab: Lab) => Promise<void>): Promise<void> {
  await inside(await startLab(spec), action)
}

/** The same with a lab in which no daemon runs yet. */
export async function withIdleLab(spec: LabSpec, action: (lab: Lab) => Promise<void>): Promise<void> {
  await inside(await openLab(spec), action)
}

/** Runs with the lab that the tests of a suite share; what one leaves there must not be in the way of the others. */
export type InSharedLab = (action: (lab: Lab) => Promise<void>) => Promise<void>

/** One lab for all tests of a suite: to start one takes longer than most tests. */
export function shareLab(test: uvu.Test, spec: LabSpec): InSharedLab {
  let lab: Lab | undefined
  test.after(async () => lab?.close())
  return async (action) => {
    lab ??= await startLab(spec)
    await tellingLogs(lab, action)
  }
}

/** The last words of every daemon come with the error: the lab is gone when it is read. */
async function tellingLogs(lab: Lab, action: (lab: Lab) => Promise<void>): Promise<void> {
  try {
    await action(lab)
  } catch (error) {
    for (const { host, logPath } of lab.daemons) process.stdout.write(`${host.host}: ${logTail(logPath)}\n`)
    throw error
  }
}

async function inside(lab: Lab, action: (lab: Lab) => Promise<void>): Promise<void> {
  try {
    await tellingLogs(lab, action)
  } finally {
    await lab.close()
  }
}

/** Checks that a program ended well, and gives what it printed. */
export function succeeded({ code, stdout, stderr }: Ended): string {
  assert.is(code, 0, `ended with ${code}: ${(stderr || stdout).trim()}`)
  return stdout
}

/** Checks that a program was refused, by exit code 1 and words with all of these in them; gives the words. */
export function refused({ code, stdout, stderr }: Ended, ...parts: readonly string[]): string {
  assert.ok(code > 0, `should have been refused, but ended with ${code}: ${stdout.trim()}`)
  const words = `${stderr}${stdout}`
  for (const part of parts) assert.ok(words.includes(part), `${JSON.stringify(part)} should be in: ${words.trim()}`)
  return words
}

/** A table in parts of so many. */
export function inBatches<T>(all: readonly T[], size: number): readonly (readonly T[])[] {
  return Array.from({ length: Math.ceil(all.length / size) }, (_, i) => all.slice(i * size, (i + 1) * size))
}
