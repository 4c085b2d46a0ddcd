#!/usr/bin/env node
// Committed so that npm can link the bin before the first build; the program itself is in dist/.
import { main } from '../dist/cli/main.js'

process.exit(await main(process.argv.slice(2), process.env))
