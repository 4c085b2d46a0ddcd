/** What holds for a request, and who says it: the one place where routes, presets and the top level meet. */
import { type OnAbandoned, policyOf, routeDefaults } from 'oncekey/http'
import type { GatewayRoute } from '../server/index.ts'
import { classifyBy } from './classify.ts'
import { schemaOf } from './kinds.ts'
import { checked } from './mistakes.ts'
import { fileKey } from './option.ts'
import { gatewayOptions, type OptionValues } from './options.ts'
import type { PresetRule } from './presets/index.ts'
import type { WrittenRoute } from './schema.ts'
import type { Settings } from './settings.ts'

/**
 * The options of a request that falls under a rule of the file, a rule of its upstream's preset, both or neither. Each
 * option for itself:
 *
 * 1. the user's rule, if it says something about the option;
 * 2. the preset's rule, where it is more careful than 3: `unknown` in place of `reexecute`, a longer retention;
 * 3. the top level: flag, variable, file, default.
 *
 * A preset never makes anything less careful, so what was asked for everywhere holds everywhere, `--on-abandoned unknown`
 * and `--retention 7d` among it.
 */
export function routeOf(settings: Settings, own?: WrittenRoute, preset?: PresetRule): GatewayRoute {
  const get = <F extends keyof OptionValues>(flag: F): OptionValues[F] =>
    (own?.[fileKey(flag)] as OptionValues[F] | undefined) ?? careful(flag, settings.get(flag), preset)
  const tenantHeader = get('tenant-header')
  const classes = get('classify')
  return {
    ...routeDefaults,
    policy: policyOf({
      onAbandoned: get('on-abandoned') as OnAbandoned,
      leaseMs: get('lease'),
      retentionMs: get('retention'),
      waitMs: get('wait'),
      skewMs: get('skew'),
      failOpen: get('fail-open'),
    }),
    covered: get('covered'),
    // A rule that names methods covers them: that is how PUT and DELETE are covered.
    methods: get('methods').map((method) => method.toUpperCase()),
    mismatch: get('mismatch'),
    onDisconnect: get('on-disconnect'),
    keyless: get('keyless'),
    requireKey: get('require-key'),
    strictKeys: get('strict-keys'),
    keyAliases: get('key-aliases') ?? [],
    ignore: get('ignore') ?? [],
    replayHeaders: get('replay-headers') ?? [],
    maxBodyBytes: get('max-body'),
    maxUploadBytes: get('max-upload'),
    maxOutcomeBytes: get('max-outcome'),
    dangerouslyAllowAnonymous: get('dangerously-allow-anonymous'),
    upstreamTimeoutMs: get('upstream-timeout'),
    ...(tenantHeader === undefined ? {} : { tenantHeader }),
    ...(classes === undefined ? {} : { classify: classifyBy(classes) }),
  }
}

/** The top level's value, or the preset's where that is the more careful one. */
function careful<F extends keyof OptionValues>(
  flag: F,
  value: OptionValues[F],
  preset: PresetRule | undefined,
): OptionValues[F] {
  if (flag === 'on-abandoned' && preset?.onAbandoned !== undefined) return preset.onAbandoned as OptionValues[F]
  if (flag === 'retention' && preset?.retention !== undefined)
    return Math.max(value as number, retentionMs(preset.retention)) as OptionValues[F]
  return value
}

function retentionMs(written: string): number {
  const spec = gatewayOptions.find(({ flag }) => flag === 'retention')
  return spec === undefined ? 0 : (checked(schemaOf(spec), written, () => 'retention') as number)
}
