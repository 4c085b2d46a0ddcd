/** TEMPORARY */
export async function runDemo(_args: readonly string[], _env: NodeJS.ProcessEnv): Promise<number> {
  return 0
}
