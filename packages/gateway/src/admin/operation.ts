/** Which operation of OpenTelemetry's GenAI conventions a route is (`gen_ai.operation.name`). */

const operations: readonly (readonly [RegExp, string])[] = [
  [/:(?:stream)?generateContent$/i, 'generate_content'],
  [/\/embeddings$|:(?:batch)?embedContents?$/i, 'embeddings'],
  [/\/(?:chat\/completions|messages|responses|converse|converse-stream|api\/chat)$/, 'chat'],
  [/\/(?:completions|api\/generate)$/, 'text_completion'],
]

/** Its name; `other` for what the conventions have no word for. */
export function operationOf(route: string): string {
  return operations.find(([pattern]) => pattern.test(route))?.[1] ?? 'other'
}
