/** Removes the namespaces, control groups and folders of processes that are gone, with whatever runs in them; gives their names. */
export function sweepDead(): Promise<string[]>

/** Removes the namespaces, control groups and folders whose name begins so (`mgt-<pid>-…`), with whatever runs in them; gives their names. */
export function sweepPrefix(prefix: string): Promise<string[]>
