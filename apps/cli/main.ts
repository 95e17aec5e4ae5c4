#!/usr/bin/env node
/**
 * The command `chimney`. Exit status: 0 as it must be, 1 something is not, 2 the command line is wrong.
 */
import { createRequire } from 'node:module';
import { Command, CommanderError } from 'commander';
import { demoCommand } from './demo/command.ts';
import { UsageError } from './demo/options.ts';
import { verifyCommand } from './verify/command.ts';

const USAGE = 2;

async function main(): Promise<void> {
  const { version } = createRequire(import.meta.url)('chimney/package.json') as { version: string };
  const program = new Command('chimney')
    .description('TCP Chimney Offload as running software')
    .version(version, '--version', 'print the version')
    .helpCommand('help [command]', 'show help for a command')
    .addHelpText('after', '\nTo begin with: chimney demo');
  program.addCommand(demoCommand());
  program.addCommand(verifyCommand());
  for (const command of [program, ...program.commands]) command.exitOverride().showHelpAfterError(hint(command));
  try {
    await program.parseAsync();
  } catch (error) {
    if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : USAGE;
    else if (error instanceof UsageError) {
      const used = program.commands.find((command) => command.name() === process.argv[2]) ?? program;
      process.stderr.write(`error: ${error.message}\n${hint(used)}\n`);
      process.exitCode = USAGE;
    } else throw error;
  }
}

function hint(command: Command): string {
  const name = command.parent === null ? command.name() : `${command.parent.name()} ${command.name()}`;
  return `(${name} --help tells what there is)`;
}

await main();
