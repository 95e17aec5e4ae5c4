/**
 * The command `chimney demo`: options in, table or JSON out, and the exit status.
 */
import { Command } from 'commander';
import { type DemoArguments, type DemoOptions, parseDemoOptions, UsageError } from './options.ts';
import { runDemo } from './run.ts';
import { reportOf } from './table.ts';

/** Exit statuses, as shells know them. */
const FAILED = 1;
const INTERRUPTED = 130;

export function demoCommand(): Command {
  return new Command('demo')
    .description('move live connections down the chimney and back while they are in use')
    .summary('move live connections down the chimney and back')
    .option('--seed <number>', 'repeats a run: content, losses and choices come from it (default: drawn)')
    .option('--connections <number>', 'concurrent downloads; uploads come on top (default: 32, with --tun 2)')
    .option('--loss <probability>', 'of a packet, each way (default: 0.01)')
    .option('--rtt <milliseconds>', 'round-trip time of the link (default: 20)')
    .option('--size <MiB>', 'content of each download; half of it for uploads (default: 1, with --tun 256)')
    .option('--ipv6', 'use IPv6 instead of IPv4')
    .option('--tun', 'real TUN devices, and curl for client (Linux, root)')
    .option('--capture <file>', 'where the pcapng file goes (default: in the directory for temporary files)')
    .option('--json', 'print the result as one JSON object on standard output')
    .allowExcessArguments(false)
    .action(async (given: DemoArguments) => {
      process.exitCode = await demo(parseDemoOptions(given));
    });
}

async function demo(options: DemoOptions): Promise<number> {
  const stopping = new AbortController();
  const stop = (): void => stopping.abort();
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
  if (!options.json) process.stderr.write(`${opening(options)}\n`);
  try {
    const done = await runDemo(options, stopping.signal);
    process.stdout.write(options.json ? `${JSON.stringify(done.result)}\n` : `\n${reportOf(done, options)}\n`);
    if (options.json && !done.result.ok)
      process.stderr.write(`chimney demo: ${done.faults.join('\n              ')}\n`);
    if (stopping.signal.aborted) return INTERRUPTED;
    return done.result.ok ? 0 : FAILED;
  } catch (error) {
    throw fileError(error, options) ?? error;
  } finally {
    process.off('SIGINT', stop);
    process.off('SIGTERM', stop);
  }
}

/** A capture file that cannot be written is a wrong option. */
function fileError(error: unknown, options: DemoOptions): UsageError | null {
  const { syscall, path, code } = error as NodeJS.ErrnoException;
  if (syscall !== 'open' || path !== options.capture) return null;
  return new UsageError(`--capture: expected a file that can be written, got '${path}' (${code})`);
}

function opening(options: DemoOptions): string {
  if (options.tun) {
    return `${options.connections} downloads by curl over TUN devices, uploads beside them; seed ${options.seed}`;
  }
  const network = `IPv${options.ipv6 ? 6 : 4}, ${options.rttMs} ms round trip, ${Number((options.loss * 100).toPrecision(6))} % loss`;
  return `${options.connections} downloads and uploads beside them over ${network}; seed ${options.seed}`;
}
