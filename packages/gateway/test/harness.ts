/** The gateway as a program, a scripted upstream behind it, and clients before it. */
export * from './client.ts'
export * from './program.ts'
export * from './upstream.ts'
