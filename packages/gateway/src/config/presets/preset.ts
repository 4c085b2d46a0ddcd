/** What a preset is: the rules of one kind of API, each as it could stand in a configuration file. */

/** One rule; what it does not say comes from the top level. */
export interface PresetRule {
  /** As a route's, but compared with the path that the upstream is asked for, the path of its URL included. */
  readonly path: string
  /** Only requests whose JSON has this member, and `true` in it. */
  readonly asks?: string
  /** What it makes is paid for or kept, and a second one would be another one. */
  readonly onAbandoned?: 'unknown'
  /** At least this long. */
  readonly retention?: string
}

/** The rules of one kind of API. */
export interface Preset {
  /** An upstream of this kind, for a configuration to begin with. */
  readonly example: string
  /** Hosts it is chosen by; `*` stands for anything. */
  readonly hosts: readonly string[]
  /** First match wins. */
  readonly rules: readonly PresetRule[]
  /** Is whatever the rules do not name made once? An endpoint of next month is not run twice on a guess. */
  readonly restIsOnce: boolean
}

/** Nothing but the answer comes of these: whether they are executed again after a crash is for the top level to say. */
export function repeatable(...paths: readonly string[]): PresetRule[] {
  return paths.map((path) => ({ path }))
}

/** These make something: a second execution would make a second one. */
export function once(...paths: readonly string[]): PresetRule[] {
  return paths.map((path) => ({ path, onAbandoned: 'unknown' }))
}

/** Of these the requests with `true` in a member of their body begin such work too. */
export function longWorkIf(member: string, ...paths: readonly string[]): PresetRule[] {
  return longWork(...paths).map((rule) => ({ ...rule, asks: member }))
}

/** These begin work that goes on for hours, so retries come for days (http.md, Expiry: 48–72 h for batches). */
export function longWork(...paths: readonly string[]): PresetRule[] {
  return paths.map((path) => ({ path, onAbandoned: 'unknown', retention: '72h' }))
}
