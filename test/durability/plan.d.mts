/** Numbers in [0, 1) that follow from a seed. */
export function random(state: number): () => number
