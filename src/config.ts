/**
 * The configuration: what the daemon and the command line both need of it. The rules are in src/config/.
 */
export {
  ConfigError,
  type ConfigSources,
  DEFAULT_CONFIG_FILE,
  type LoadedConfig,
  type LoadOptions,
  load,
  loadConfig,
  readConfigFile,
} from './config/load.ts'
export { type AddressConfig, type Config, MODES, type Mode, type PoolConfig } from './config/types.ts'
