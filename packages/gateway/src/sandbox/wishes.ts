/** What a request asks for besides text: a call of one of its tools, or JSON of a shape. Read in every dialect at once. */
import { isObject } from './request.ts'

type Json = Readonly<Record<string, unknown>>

/** The tool that the pretend provider wants to be called. */
export interface ToolCall {
  readonly name: string
  readonly args: object
}

/**
 * A call of the request's first tool, unless the conversation's last turn is a tool's result: so a tool loop has one
 * round. `text` is put where the tool wants a text.
 */
export function toolCallOf(json: Json | undefined, text: () => string): ToolCall | undefined {
  const tool = toolsOf(json)[0]
  if (json === undefined || tool === undefined || typeof tool.name !== 'string' || endsWithResult(json))
    return undefined
  const args = example(tool.parameters ?? tool.parametersJsonSchema ?? tool.input_schema, text())
  return { name: tool.name, args: isObject(args) ? args : {} }
}

/** The text as JSON of the shape that was asked for; undefined where none was. */
export function structuredText(json: Json | undefined, text: () => string): string | undefined {
  const schema = [
    at(json, 'response_format', 'json_schema', 'schema'),
    at(json, 'text', 'format', 'schema'),
    at(json, 'output_config', 'format', 'schema'),
    at(json, 'generationConfig', 'responseJsonSchema'),
    at(json, 'generationConfig', 'responseSchema'),
  ].find(isObject)
  return schema === undefined ? undefined : JSON.stringify(example(schema, text()))
}

/** Chat completions wrap a tool in `function`, Gemini lists several in `functionDeclarations`, the others do neither. */
function toolsOf(json: Json | undefined): readonly Json[] {
  return objects(json?.tools).flatMap((tool) => {
    if (isObject(tool.function)) return [tool.function]
    return 'functionDeclarations' in tool ? objects(tool.functionDeclarations) : [tool]
  })
}

function endsWithResult(json: Json): boolean {
  const turn = objects(json.messages ?? json.input ?? json.contents).at(-1)
  if (turn?.role === 'tool' || turn?.type === 'function_call_output') return true
  return objects(turn?.content ?? turn?.parts).some((part) => part.type === 'tool_result' || 'functionResponse' in part)
}

/** A value that a JSON schema of the plain kind accepts. */
function example(schema: unknown, text: string): unknown {
  if (!isObject(schema)) return text
  switch (String(schema.type).toLowerCase()) {
    case 'object':
      return Object.fromEntries(
        Object.entries(isObject(schema.properties) ? schema.properties : {}).map(([name, of]) => [
          name,
          example(of, text),
        ]),
      )
    case 'array':
      return [example(schema.items, text)]
    case 'number':
    case 'integer':
      return 1
    case 'boolean':
      return true
    default:
      return text
  }
}

function at(json: unknown, ...names: readonly string[]): unknown {
  return names.reduce((value, name) => (isObject(value) ? value[name] : undefined), json)
}

function objects(value: unknown): readonly Json[] {
  return Array.isArray(value) ? value.filter(isObject) : []
}
