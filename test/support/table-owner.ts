import { type Place, run, start, stop, until } from '../../scripts/lab/command.ts'

/** A process that has taken the table `inet margay` for its own: as long as it runs nobody else can write to it. */
export interface TableOwner {
  /** Ends the process; the kernel takes the table away with it. */
  release(): Promise<void>
}

/** Takes the table away from whoever has made it, and keeps it. */
export async function ownTable(place: Place): Promise<TableOwner> {
  const child = start(place, ['nft', '-i'], { stdio: ['pipe', 'ignore', 'ignore'] })
  child.stdin?.write('add table inet margay; delete table inet margay; add table inet margay { flags owner; }\n')
  await until({ what: 'the table to have an owner' }, async () =>
    /flags owner/.test(
      await run(place, ['nft', 'list', 'tables', 'inet']).then(() => run(place, ['nft', 'list', 'table', 'inet', 'margay'])),
    )
      ? true
      : undefined,
  )
  return { release: () => stop(child, 'SIGKILL') }
}
