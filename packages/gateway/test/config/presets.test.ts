/** Presets against the paths that the providers' own packages call, and the hosts by which they are chosen. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { checked, placeIn } from '../../src/config/mistakes.ts'
import { type PresetName, presetNames, presets, presetsFor } from '../../src/config/presets/index.ts'
import { fileSchema } from '../../src/config/schema.ts'
import { Routes, type Rule } from '../../src/server/routing.ts'

const modules = new URL('../../../../node_modules/', import.meta.url).pathname

/** The rule that a POST falls under. */
function ruleOf(name: PresetName, path: string): Rule | undefined {
  const { rules } = presetsFor({ url: new URL('http://a'), preset: name })
  const preset = rules.map((rule) => ({ ...rule, methods: undefined }))
  // Only the rule is asked for.
  const optionsOf = (): never => ({}) as never
  return new Routes({ prefix: '', own: [], preset, optionsOf }).match('POST', path).preset
}

function isRepeatable(name: PresetName, path: string): boolean {
  const rule = ruleOf(name, path)
  return rule === undefined || !('onAbandoned' in rule)
}

/** What an SDK made by Stainless posts to; a parameter of a path is `x`. */
function postsOf(folder: string, prefix: string): string[] {
  const files = readdirSync(join(modules, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.mjs'))
    .map((entry) => readFileSync(join(entry.parentPath, entry.name), 'utf8'))
  const found = files.flatMap((text) => [...text.matchAll(/\.(?:post|patch)\(\s*(?:path)?\s*['`]([^'`]+)['`]/g)])
  const paths = found.map(([, path = '']) => prefix + path.replace(/\$\{\w+\}/g, 'x').replace(/\?.*$/, ''))
  return [...new Set(paths)].sort()
}

/** What @google/genai posts to: its paths are templates. */
function postsOfGemini(): string[] {
  const text = readFileSync(join(modules, '@google/genai/dist/node/index.mjs'), 'utf8')
  const found = [...text.matchAll(/formatMap\('([^']+)'[\s\S]{0,600}?httpMethod: '(\w+)'/g)]
  const paths = found.filter(([, , method]) => method === 'POST').map(([, path = '']) => path)
  return [
    ...new Set(
      paths.map(
        (path) =>
          `/v1beta/${path
            .replace(/\{model\}/, 'models/x')
            .replace(/\{\w+\}/g, 'x')
            .replace(/\?.*$/, '')}`,
      ),
    ),
  ].sort()
}

describe('of the paths that an SDK posts to, these may be executed again, and no others', () => {
  test('openai', () => {
    const posts = postsOf('openai7/resources', '/v1')
    expect(posts.length).toBeGreaterThan(100)
    expect(posts.filter((path) => isRepeatable('openai', path))).toEqual([
      '/v1/audio/speech',
      '/v1/audio/transcriptions',
      '/v1/audio/translations',
      '/v1/batches/x/cancel',
      '/v1/chat/completions',
      '/v1/chatkit/sessions/x/cancel',
      '/v1/completions',
      '/v1/content_provenance_checks',
      '/v1/decisions',
      '/v1/evals/x/runs/x/cancel',
      '/v1/fine_tuning/alpha/graders/run',
      '/v1/fine_tuning/alpha/graders/validate',
      '/v1/fine_tuning/jobs/x/cancel',
      '/v1/images/edits',
      '/v1/images/generations',
      '/v1/images/variations',
      '/v1/moderations',
      '/v1/responses',
      '/v1/responses/compact',
      '/v1/responses/input_tokens',
      '/v1/responses/x/cancel',
      '/v1/threads/x/runs/x/cancel',
      '/v1/uploads/x/cancel',
      '/v1/vector_stores/x/file_batches/x/cancel',
    ])
    // This one is called in a way that the search above does not see.
    expect([posts.includes('/v1/embeddings'), isRepeatable('openai', '/v1/embeddings')]).toEqual([false, true])
  })
  test('@anthropic-ai/sdk', () => {
    const posts = postsOf('@anthropic-ai/sdk/resources', '')
    expect(posts.length).toBeGreaterThan(60)
    expect(posts.filter((path) => isRepeatable('anthropic', path))).toEqual([
      '/v1/dreams/x/cancel',
      '/v1/messages',
      '/v1/messages/batches/x/cancel',
      '/v1/messages/count_tokens',
    ])
  })
  test('@google/genai', () => {
    const posts = postsOfGemini()
    expect(posts.length).toBeGreaterThan(12)
    expect(posts.filter((path) => isRepeatable('gemini', path))).toEqual([
      '/v1beta/batchPredictionJobs/x:cancel',
      '/v1beta/batches/x:cancel',
      '/v1beta/models/x:batchEmbedContents',
      '/v1beta/models/x:computeTokens',
      '/v1beta/models/x:countTokens',
      '/v1beta/models/x:generateContent',
      '/v1beta/models/x:predict',
      '/v1beta/models/x:streamGenerateContent',
      '/v1beta/x:cancel',
    ])
  })
})

describe('long work is unknown and kept for 72 h', () => {
  test.each([
    ['openai', '/v1/batches', '/v1/files', '/v1/uploads/x/parts', '/v1/fine_tuning/jobs', '/v1/videos', '/v1/evals'],
    ['azure', '/openai/v1/batches', '/openai/batches', '/openai/deployments/x/batches', '/openai/files'],
    ['azure', '/openai/v1/video/generations/jobs', '/openai/fine_tuning/jobs', '/openai/v1/videos'],
    ['anthropic', '/v1/messages/batches', '/v1/files'],
    ['gemini', '/v1beta/models/x:batchGenerateContent', '/v1beta/models/x:predictLongRunning', '/upload/v1beta/files'],
    ['gemini', '/v1beta/tunedModels', '/v1beta/interactions'],
    ['mistral', '/v1/batch/jobs', '/v1/files', '/v1/fine_tuning/jobs', '/v1/libraries/x/documents'],
    ['openrouter', '/api/v1/files'],
    ['bedrock', '/async-invoke', '/model-invocation-job', '/proxy/async-invoke'],
    ['vllm', '/v1/batches'],
    ['ollama', '/api/create', '/api/push'],
    [
      'common',
      '/v1/batches',
      '/v1/files',
      '/v1/fine_tuning/jobs',
      '/v1/videos',
      '/v1/messages/batches',
      '/v1/uploads/x/parts',
    ],
    ['common', '/litellm/v1/videos/x/remix', '/v1beta/models/x:batchGenerateContent'],
  ] as [PresetName, ...string[]][])('%s: %s', (name, ...paths) => {
    for (const path of paths)
      expect([path, ruleOf(name, path)]).toMatchObject([path, { onAbandoned: 'unknown', retention: '72h' }])
  })
})

describe('made once', () => {
  test.each([
    ['openai', '/v1/assistants', '/v1/threads', '/v1/threads/x/runs', '/v1/conversations', '/v1/containers'],
    ['openai', '/v1/vector_stores', '/v1/something/of/next/month'],
    ['azure', '/openai/threads/x/runs', '/openai/v1/conversations'],
    ['anthropic', '/v1/agents', '/v1/sessions', '/v1/files/x/of/next/month'],
    ['gemini', '/v1beta/cachedContents', '/v1beta/auth_tokens'],
    ['mistral', '/v1/conversations', '/v1/connectors/x/tools/y/call', '/v1/agents'],
    ['openrouter', '/api/v1/keys', '/api/v1/interns/x/chat/completions', '/api/v1/auth/keys'],
    ['bedrock', '/agents/x/agentAliases/y/sessions/z/text'],
    ['vllm', '/v1/load_lora_adapter'],
    ['ollama', '/api/something'],
  ] as [PresetName, ...string[]][])('%s: %s', (name, ...paths) => {
    for (const path of paths) expect([path, isRepeatable(name, path)]).toEqual([path, false])
  })
})

describe('left to the top level', () => {
  test.each([
    ['azure', '/openai/deployments/x/chat/completions', '/openai/v1/responses', '/openai/deployments/x/embeddings'],
    ['anthropic', '/v1/messages'],
    [
      'gemini',
      '/v1beta/models/x:generateContent',
      '/v1beta/models/x:streamGenerateContent',
      '/v1/models/x:countTokens',
    ],
    ['gemini', '/v1beta/openai/chat/completions', '/v1beta/models/x:embedContent'],
    ['mistral', '/v1/chat/completions', '/v1/fim/completions', '/v1/ocr', '/v1/agents/completions'],
    ['openrouter', '/api/v1/chat/completions', '/api/v1/responses', '/api/v1/messages'],
    [
      'bedrock',
      '/model/anthropic.claude-x/invoke',
      '/model/x/invoke-with-response-stream',
      '/model/a%3Ab/converse-stream',
    ],
    ['vllm', '/v1/chat/completions', '/tokenize', '/v1/rerank', '/v2/rerank', '/v1/messages/count_tokens'],
    ['ollama', '/api/chat', '/api/generate', '/api/embed', '/api/pull', '/v1/chat/completions'],
    ['common', '/v1/chat/completions', '/anything', '/v1/filesystem', '/v1/batches/x/cancel'],
  ] as [PresetName, ...string[]][])('%s: %s', (name, ...paths) => {
    for (const path of paths) expect([path, isRepeatable(name, path)]).toEqual([path, true])
  })
})

describe('a preset is chosen', () => {
  const chosen = (url: string, preset?: PresetName | 'none'): readonly string[] =>
    presetsFor({ url: new URL(url), preset }).names

  test.each([
    ['https://api.openai.com', 'openai'],
    ['https://API.OpenAI.com./v1', 'openai'],
    ['https://eu.api.openai.com', 'openai'],
    ['https://mine.openai.azure.com', 'azure'],
    ['https://mine.cognitiveservices.azure.com', 'azure'],
    ['https://api.anthropic.com', 'anthropic'],
    ['https://generativelanguage.googleapis.com', 'gemini'],
    ['https://api.mistral.ai', 'mistral'],
    ['https://openrouter.ai/api', 'openrouter'],
    ['https://bedrock-runtime.eu-central-1.amazonaws.com', 'bedrock'],
    ['https://ollama.com', 'ollama'],
    ['http://127.0.0.1:8000', 'common'],
    ['https://openai.azure.com.example.org', 'common'],
    ['https://notapi.openai.com', 'common'],
    ['https://api-openai.com', 'common'],
  ])('by the host of %s: %s', (url, name) => expect(chosen(url)).toEqual([name]))

  test('by its name before its host', () => {
    expect(chosen('https://api.openai.com', 'vllm')).toEqual(['vllm'])
    expect(chosen('https://api.openai.com', 'none')).toEqual([])
  })
  test('three at once for the pretend provider, which speaks for all of them', () => {
    expect(chosen('sandbox:')).toEqual(['openai', 'anthropic', 'gemini'])
  })
})

describe.each(presetNames)('%s', (name) => {
  test('has rules as they could stand in a file', () => {
    const routes = presets[name].rules.map(({ asks: _, ...rule }) => rule)
    expect(routes.length).toBeGreaterThan(5)
    checked(fileSchema, { routes }, placeIn(name))
  })
  test('has no rule that another one before it leaves nothing for', () => {
    const { rules } = presets[name]
    const sample = (path: string): string => path.replaceAll('*', 'x')
    const hidden = rules.filter((rule, at) => {
      const before = rules.slice(0, at).filter(({ asks }) => asks === undefined)
      const optionsOf = (): never => ({}) as never
      const preset = before.map((one) => ({ ...one, methods: undefined }))
      return (
        new Routes({ prefix: '', own: [], preset, optionsOf }).match('POST', sample(rule.path)).preset !== undefined
      )
    })
    expect(hidden).toEqual([])
  })
})
