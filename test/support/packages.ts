import { MACHINE, run } from '../../scripts/lab/command.ts'
import { whyNoMachines } from '../../scripts/lab/machines.ts'

/** A package file of this machine. */
export interface PackageFile {
  readonly file: string
  readonly version: string
}

/** This tree's package, as `npm run package` makes it but not compressed, and the same as a later version. */
export async function makePackages(): Promise<{ readonly current: PackageFile; readonly next: PackageFile }> {
  return JSON.parse(await run(MACHINE, [process.execPath, 'scripts/lab-packages.mjs'], { timeoutMs: 120_000 }))
}

interface Suite {
  (name: string, work: () => Promise<void>): void
  readonly skip: (name: string, work: () => Promise<void>) => void
}

/** Gives what makes a test on machines; where none can be booted such a test is skipped, and says why. */
export async function onMachines(test: Suite): Promise<(name: string, work: () => Promise<void>) => void> {
  const why = await whyNoMachines()
  if (why === undefined) return test
  return (name, work) => {
    process.stdout.write(`skipped: ${name}, because ${why}\n`)
    test.skip(name, work)
  }
}
