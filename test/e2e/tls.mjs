// The OpenAI SDK against a base URL, unmodified: prints what it got, twice under one key.
import OpenAI from 'openai'

const [baseURL, key] = process.argv.slice(2)
const client = new OpenAI({ apiKey: 'sk-test', baseURL: `${baseURL}/v1`, maxRetries: 0 })
const asked = { model: 'pretend-1', messages: [{ role: 'user', content: 'hello' }] }
const options = { headers: { 'Idempotency-Key': key } }
const told = []
for (let round = 0; round < 2; round++) {
  const { data, response } = await client.chat.completions.create(asked, options).withResponse()
  told.push({ how: response.headers.get('idempotency-status'), text: data.choices[0].message.content })
}
let streamed = ''
for await (const chunk of await client.chat.completions.create({ ...asked, stream: true }))
  streamed += chunk.choices[0]?.delta.content ?? ''
console.log(JSON.stringify({ told, streamed }))
