import * as z from 'zod'
import { ValidationError } from '../../errors.ts'
import { LOG_SEVERITIES } from '../bgp-configuration.ts'
import { checkedText, defaultsTo, durationField, integerField, patternField, selectorField, shownAs, wordField } from '../fields.ts'
import { enforced, stored } from '../tags.ts'

const off = defaultsTo(false, z.boolean())
const on = defaultsTo(true, z.boolean())
const severity = defaultsTo('Info', wordField([...LOG_SEVERITIES, 'None']))
const portField = integerField(0, 65_535)

/** `NAME=value` with commas between. */
function settingsField(values: RegExp, shown: string) {
  const schema = checkedText((text) => {
    const wrong = text.split(',').find((part) => {
      const [name = '', value = '', ...rest] = part.split('=')
      return part !== '' && (rest.length > 0 || !part.includes('=') || !/^[a-zA-Z0-9_-]+$/.test(name) || !values.test(value))
    })
    if (wrong !== undefined) throw new ValidationError(`${JSON.stringify(wrong)} is not ${shown}`)
  })
  return shownAs(shown, undefined, schema)
}

/** A text of this form. */
function matching(form: RegExp, shown: string) {
  const schema = checkedText((text) => {
    if (!form.test(text)) throw new ValidationError(`${JSON.stringify(text)} is not ${shown}`)
  })
  return shownAs('string', { pattern: form.source }, schema)
}

const logging = {
  logFilePath: stored("Calico's log file.", defaultsTo('/var/log/calico/felix.log', z.string())).optional(),
  logSeverityFile: stored("How much goes to Calico's log file.", severity).optional(),
  logSeverityScreen: stored("How much Calico's agent logs; margay's `log.level` is its own.", severity).optional(),
  logSeveritySys: stored("How much of Calico's log goes to syslog.", severity).optional(),
  logDebugFilenameRegex: stored("Source files of Calico's agent whose debug lines are logged.", patternField).optional(),
}

const reporting = {
  reportingInterval: stored(
    "How often Calico's agent writes its status into etcd; 0 for never.",
    defaultsTo('30s', durationField),
  ).optional(),
  reportingTTL: stored('So long that status holds.', defaultsTo('90s', durationField)).optional(),
  endpointReportingEnabled: stored('Whether the status of endpoints is written into etcd.', off).optional(),
  endpointReportingDelay: stored('Least time between two such writes.', defaultsTo('1s', durationField)).optional(),
  endpointStatusPathPrefix: stored('Folder for files with the status of endpoints.', defaultsTo('/var/run/calico', z.string())).optional(),
  healthEnabled: stored("Whether Calico's agent tells of its health; margay's `observe` settings are its own.", off).optional(),
  healthHost: stored('Address for that.', defaultsTo('localhost', z.string())).optional(),
  healthPort: stored('Port for that.', defaultsTo(9099, portField)).optional(),
  healthTimeoutOverrides: z
    .array(
      z.object({
        name: stored('A part of the agent.', matching(/^[a-zA-Z0-9_ -]+$/, 'the name of a part: letters, digits, "_", "-" and blanks')),
        timeout: stored('So long it may be silent; not less than 0.', durationField),
      }),
    )
    .optional(),
  prometheusMetricsEnabled: stored("Whether Calico's agent offers metrics; margay's `observe` settings are its own.", off).optional(),
  prometheusMetricsHost: stored('Address for metrics.', matching(/^[a-zA-Z0-9:._+-]{1,64}$/, 'an address or a name')).optional(),
  prometheusMetricsPort: stored('Port for metrics.', defaultsTo(9091, portField)).optional(),
  prometheusGoMetricsEnabled: stored("Whether metrics of Go's runtime are among them.", on).optional(),
  prometheusProcessMetricsEnabled: stored('Whether metrics of the process are among them.', on).optional(),
  prometheusWireGuardMetricsEnabled: stored('Whether metrics of WireGuard are among them.', on).optional(),
  prometheusMetricsCAFile: stored('Certificates of those who may read metrics.', z.string()).optional(),
  prometheusMetricsCertFile: stored('Certificate for metrics over TLS.', z.string()).optional(),
  prometheusMetricsKeyFile: stored('Key for metrics over TLS.', z.string()).optional(),
  prometheusMetricsClientAuth: stored('Whether readers of metrics need a certificate.', z.string()).optional(),
  usageReportingEnabled: stored("Whether Calico's agent reports its use to its makers; margay never does.", on).optional(),
  usageReportingInitialDelay: stored('Time before the first report.', defaultsTo('300s', durationField)).optional(),
  usageReportingInterval: stored('Time between reports.', defaultsTo('86400s', durationField)).optional(),
}

/** What decides how the agent runs and what it tells. */
export const FELIX_RUNNING = {
  nodeSelector: enforced('The hosts that these settings are for; not in `default` and `node.<name>`.', selectorField).optional(),
  routeRefreshInterval: stored('How often routes are read again; margay hears of changes.', defaultsTo('90s', durationField)).optional(),
  interfaceRefreshInterval: stored('How often interfaces are read again.', defaultsTo('90s', durationField)).optional(),
  netlinkTimeout: stored('So long the kernel may take to answer.', defaultsTo('10s', durationField)).optional(),
  dataplaneWatchdogTimeout: stored(
    'So long the agent may be silent; old form of healthTimeoutOverrides.',
    defaultsTo('90s', durationField),
  ).optional(),
  featureDetectOverride: stored(
    'Abilities of the kernel that are taken for granted or not used.',
    settingsField(/^(true|false|)$/, '`NAME=true` or `NAME=false`, with commas between'),
  ).optional(),
  featureGates: stored('Parts of Calico that are not finished.', settingsField(/^.+$/, '`NAME=value`, with commas between')).optional(),
  debugHost: stored('Address at which the agent can be profiled.', defaultsTo('localhost', z.string())).optional(),
  debugPort: stored('Port at which the agent can be profiled.', portField).optional(),
  ...logging,
  ...reporting,
}
