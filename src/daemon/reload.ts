import { isDeepStrictEqual } from 'node:util'
import { type Config, SETTINGS } from '../config.ts'
import type { Logger } from '../log.ts'
import type { Notifier } from './notify.ts'

/** What a configuration that was read again means for the daemon that runs. */
export interface ReloadPlan {
  /** The configuration from now on: the old one with what can be taken over. */
  readonly config: Config
  /** Keys whose new value is used from now on. */
  readonly taken: readonly string[]
  /** Keys whose new value is used when margayd is started again. */
  readonly needsRestart: readonly string[]
}

/** Keys that are looked at each time that they are needed; all others make something once, at the start. */
const LIVE_KEYS = /^(node\.labels|log\.level|address\..+|ipam\..+|policy\..+)$/

/** Compares two configurations, key by key. */
export function planReload(before: Config, after: Config): ReloadPlan {
  const changed = SETTINGS.map(({ path }) => path).filter((path) => !isDeepStrictEqual(valueAt(before, path), valueAt(after, path)))
  return {
    config: {
      ...before,
      node: { ...before.node, labels: after.node.labels },
      address: after.address,
      ipam: after.ipam,
      policy: after.policy,
      log: after.log,
    },
    taken: changed.filter((path) => LIVE_KEYS.test(path)),
    needsRestart: changed.filter((path) => !LIVE_KEYS.test(path)),
  }
}

/** What reloading works on. */
export interface ReloadParts {
  /** Reads the configuration from its sources; throws ConfigError with everything that is wrong. */
  readonly read: () => Config
  /** The configuration that is used now. */
  readonly current: () => Config
  /** Uses another one from now on. */
  readonly use: (config: Config) => void
  readonly log: Logger & { level: string }
  readonly notifier: Notifier
}

/**
 * Reads the configuration again and takes over what may change while the daemon runs; names what needs a restart.
 * A wrong configuration is refused whole, and the old one goes on.
 *
 * @throws {ConfigError} with everything that is wrong
 */
export function reload({ read, current, use, log, notifier }: ReloadParts): ReloadPlan {
  notifier.reloading(process.hrtime.bigint() / 1000n)
  let outcome = 'configuration is wrong, the old one goes on to be used'
  try {
    const plan = planReload(current(), read())
    use(plan.config)
    log.level = plan.config.log.level
    outcome = `configuration read again: ${plan.taken.length === 0 ? 'nothing new' : plan.taken.join(', ')}`
    log.info({ reason: plan.taken.join(', ') }, 'configuration was read again')
    if (plan.needsRestart.length > 0) {
      log.warn({ reason: plan.needsRestart.join(', ') }, 'new values need a restart of margayd, traffic goes on meanwhile')
    }
    return plan
  } finally {
    // Whatever became of it: systemd waits for the end (sd_notify(3), Type=notify-reload).
    notifier.ready(outcome)
  }
}

function valueAt(config: Config, path: string): unknown {
  return path.split('.').reduce<unknown>((value, name) => (value as Record<string, unknown> | undefined)?.[name], config)
}
