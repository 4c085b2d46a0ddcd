export function dockerMistakes(text: string, isThere?: (path: string) => boolean): string[]
export function unknownSettings(text: string, help: string): string[]
