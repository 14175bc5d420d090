/** How the daemon's Node is started: see node-flags.mjs. */
export const NODE_FLAGS: readonly string[]
