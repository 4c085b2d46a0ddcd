/** TEMPORARY */
export async function startSandbox(): Promise<{ url: string }> {
  return { url: 'http://127.0.0.1:1' }
}
