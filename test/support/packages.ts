import { MACHINE, run } from '../../scripts/lab/command.ts'
import { whyNoMachines } from '../../scripts/lab/machines.ts'

/** A package file of this machine. */
export interface PackageFile {
  readonly file: string
  readonly version: string
}

/** This tree's package, as `npm run package` makes it but not compressed, and the same as a later version. */
export interface Packages {
  readonly current: PackageFile
  readonly next: PackageFile
}

type AddTest = (name: string, work: () => Promise<void>) => void

/** What a file of tests on machines works with. */
export interface OnMachines {
  /** Adds a test; where no machines can be booted it is skipped, and says why. */
  readonly testOnMachines: AddTest
  /** Made when they are first asked for, and the same for all tests of a file whatever becomes of the tree meanwhile. */
  readonly packages: () => Promise<Packages>
}

/** Looks whether machines can be booted here. */
export async function onMachines(test: AddTest & { readonly skip: AddTest }): Promise<OnMachines> {
  const why = await whyNoMachines()
  const made: { packages?: Promise<Packages> } = {}
  const skip: AddTest = (name, work) => {
    process.stdout.write(`skipped: ${name}, because ${why}\n`)
    test.skip(name, work)
  }
  return {
    testOnMachines: why === undefined ? test : skip,
    packages: () => {
      made.packages ??= makePackages()
      return made.packages
    },
  }
}

async function makePackages(): Promise<Packages> {
  return JSON.parse(await run(MACHINE, [process.execPath, 'scripts/lab-packages.mjs'], { timeoutMs: 120_000 }))
}
