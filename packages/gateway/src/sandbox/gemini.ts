/** Google's answers: `generateContent`, and `streamGenerateContent` as events or as one JSON array. */
import { type Answer, type Asked, deltas, errorValue, type StreamPart, toolCall, wholeText } from './answer.ts'
import { ok } from './openai.ts'

/** `POST …/models/X:generateContent`. */
export function generateContent(asked: Asked, model: string): Answer {
  return ok(part(asked, model, called(asked) ?? { text: wholeText(asked) }, 'STOP'))
}

/** `POST …/models/X:streamGenerateContent`. There is no terminator of its own: the last part has the `finishReason`. */
export function streamGenerateContent(asked: Asked, model: string): Answer {
  const streamed = (said: object, finish?: string): StreamPart => ({
    data: JSON.stringify(part(asked, model, said, finish)),
  })
  const call = called(asked)
  function* parts(): Generator<StreamPart> {
    if (call !== undefined) yield streamed(call)
    else for (const text of deltas(asked)) yield streamed({ text })
  }
  const events = new URLSearchParams(asked.request.path.split('?', 2)[1]).get('alt') === 'sse'
  const broke = errorValue('gemini', 503, `The pretend provider broke in call ${asked.n}.`, asked.id)
  return {
    kind: 'stream',
    tellsUsage: true,
    framing: events ? 'events' : 'array',
    // The real one ends its lines so.
    crlf: true,
    parts,
    terminator: streamed({ text: call === undefined ? ' End.' : '' }, 'STOP'),
    error: { data: JSON.stringify(broke) },
  }
}

function called(asked: Asked): object | undefined {
  const call = toolCall(asked)
  return call === undefined ? undefined : { functionCall: { name: call.name, args: call.args } }
}

function part(asked: Asked, model: string, said: object, finish: string | undefined): object {
  const { input, output } = asked.tokens
  return {
    candidates: [
      {
        content: { parts: [said], role: 'model' },
        ...(finish === undefined ? {} : { finishReason: finish }),
        index: 0,
      },
    ],
    usageMetadata: { promptTokenCount: input, candidatesTokenCount: output, totalTokenCount: input + output },
    modelVersion: model,
    responseId: asked.id,
  }
}
