import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { promisify } from 'node:util'
import { describeError } from '../errors.ts'
import type { Logger } from '../log.ts'

/**
 * Starts a unit of ours through the service manager and does not wait until it is up; running already, it goes on.
 * Where systemd is not the service manager, whoever starts us starts the unit's program as well.
 */
export async function startUnit(name: string, log: Logger): Promise<void> {
  if (!existsSync('/run/systemd/system')) {
    log.warn({ key: name }, 'systemd does not run here: the program of this unit must be started by hand')
    return
  }
  try {
    await promisify(execFile)('systemctl', ['start', '--no-block', name], { timeout: 10_000 })
  } catch (error) {
    log.warn({ key: name, reason: describeError(error) }, 'unit could not be started')
  }
}
