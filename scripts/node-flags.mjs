/**
 * How the daemon's Node is started, everywhere the same: systemd/margayd.service, the first line of dist/margayd.js, and the lab.
 * V8 lets the space for young objects grow to three times 16 MiB and does not give it back: a daemon at rest held 15 MiB of it.
 */
export const NODE_FLAGS = ['--max-semi-space-size=2']
