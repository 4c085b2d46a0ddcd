// A client that does not get its answer and asks again, with the same key: prints what came back each time.
export async function askTwice(url) {
  for (let turn = 1; turn <= 2; turn++) {
    const response = await fetch(`${url}/charges`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', 'X-User': 'alice', 'Idempotency-Key': '"order-4711"' },
      body: JSON.stringify({ amount: 5 }),
    })
    console.log(`${response.status} ${response.headers.get('Idempotency-Status')} ${await response.text()}`)
  }
}
