/**
 * The configuration: what the daemon and the command line both need of it. The rules are in src/config/.
 */
export { CONFIG_ENV, isSwitch } from './config/flags.ts'
export {
  ConfigError,
  type ConfigSources,
  DEFAULT_CONFIG_FILE,
  type LoadedConfig,
  type LoadOptions,
  load,
  loadConfig,
  readConfigFile,
  readSetting,
} from './config/load.ts'
export { shownDefault } from './config/reference.ts'
export { GROUPS, SETTINGS, type Setting } from './config/schema.ts'
export { type AddressConfig, type CollectMode, type Config, MODES, type Mode, type PoolConfig } from './config/types.ts'
