import type { Command } from 'commander'
import { type ApiClient, createApiClient } from './client.ts'
import type { Context } from './context.ts'
import { socketFor } from './options.ts'

/** A client of the daemon whose socket the command's flags, the environment or the file name. */
export function apiFor(command: Command, context: Context): ApiClient {
  return createApiClient(socketFor(command, context), context.signal)
}
