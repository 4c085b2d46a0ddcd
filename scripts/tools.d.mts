/** The path of a program, installed as a Debian package where it is missing and that is allowed. Throws when there is none. */
export function ensureProgram(name: string, debianPackage?: string, find?: () => string | undefined): string
