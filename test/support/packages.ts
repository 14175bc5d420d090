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

/** A test on machines; where none can be booted it is skipped, and says why. */
export function testOnMachines(test: Suite, name: string, work: () => Promise<void>): void {
  const why = whyNoMachines()
  if (why === undefined) {
    test(name, work)
    return
  }
  process.stdout.write(`skipped: ${name}, because ${why}\n`)
  test.skip(name, work)
}
