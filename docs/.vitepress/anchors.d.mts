export function lostAnchors(dist: string): readonly string[]
