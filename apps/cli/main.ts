#!/usr/bin/env node
/** The command `chimney`. Prints its usage; the commands come with the parts that they drive. */

console.error('usage: chimney COMMAND [OPTION...]');
process.exitCode = process.argv.length > 2 ? 1 : 0;
