/** A span's context as a record keeps it: the W3C header `traceparent`, version 00. */
import { type Link, type SpanContext, TraceFlags } from '@opentelemetry/api'

const format = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/

/** 55 characters. */
export function traceparentOf({ traceId, spanId, traceFlags }: SpanContext): string {
  return `00-${traceId}-${spanId}-${(traceFlags & TraceFlags.SAMPLED).toString(16).padStart(2, '0')}`
}

/** A link to it; undefined for what is none: the record may be another version's, or come from a store that was altered. */
export function linkOf(traceparent: string): Link | undefined {
  const [, traceId, spanId, flags] = format.exec(traceparent) ?? []
  if (traceId === undefined || spanId === undefined) return undefined
  const traceFlags = Number.parseInt(flags ?? '0', 16)
  return { context: { traceId, spanId, traceFlags, isRemote: true }, attributes: { 'oncekey.link': 'original' } }
}
