/**
 * The options of `chimney demo`: their ranges, and what is said about wrong ones.
 *
 * Parsed once, here; everything behind takes them as right.
 */
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** What the demonstration is run with. */
export interface DemoOptions {
  readonly seed: number;
  /** Concurrent downloads; uploads come on top, one for each four. */
  readonly connections: number;
  /** Probability that a packet is lost, each way. */
  readonly loss: number;
  readonly rttMs: number;
  readonly ipv6: boolean;
  readonly tun: boolean;
  readonly json: boolean;
  /** Bytes of pseudo-random content in each download; an upload has half as many. */
  readonly bytesPerDownload: number;
  /** Where the pcapng file goes. */
  readonly capture: string;
}

/** Options as they stand on the command line. */
export interface DemoArguments {
  readonly seed?: string;
  readonly connections?: string;
  readonly loss?: string;
  readonly rtt?: string;
  readonly size?: string;
  readonly capture?: string;
  readonly ipv6?: boolean;
  readonly tun?: boolean;
  readonly json?: boolean;
}

/** A wrong option; its message is for the user. */
export class UsageError extends Error {
  override readonly name: string = 'UsageError';
}

const SEED_MAX = 0xffff_ffff;
const MIB = 1 << 20;

/** Throws {@link UsageError}. */
export function parseDemoOptions(given: DemoArguments): DemoOptions {
  const tun = given.tun ?? false;
  if (tun) refuseWithTun(given);
  const seed = whole('--seed', given.seed, 0, SEED_MAX, Math.floor(Math.random() * 1_000_000));
  const sizeMib = decimal('--size', given.size, 0.01, 1024, tun ? 256 : 1, 'MiB');
  return {
    seed,
    connections: whole('--connections', given.connections, 1, 1000, tun ? 2 : 32),
    loss: decimal('--loss', given.loss, 0, 0.5, tun ? 0 : 0.01, 'a probability'),
    rttMs: decimal('--rtt', given.rtt, 0, 2000, tun ? 0 : 20, 'milliseconds'),
    ipv6: given.ipv6 ?? false,
    tun,
    json: given.json ?? false,
    bytesPerDownload: Math.round(sizeMib * MIB),
    capture: given.capture ?? join(tmpdir(), `chimney-demo-${seed}.pcapng`),
  };
}

/** Over a real device the network is what it is, and both families are used. */
function refuseWithTun(given: DemoArguments): void {
  for (const name of ['loss', 'rtt', 'ipv6'] as const) {
    if (given[name] === undefined) continue;
    const why = name === 'ipv6' ? 'it uses both IPv4 and IPv6' : 'the device is neither lossy nor slow';
    throw new UsageError(`--${name}: cannot be used together with --tun: ${why}`);
  }
}

function whole(name: string, text: string | undefined, least: number, most: number, otherwise: number): number {
  if (text === undefined) return otherwise;
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (value >= least && value <= most) return value;
  throw new UsageError(`${name}: expected a whole number from ${least} to ${most}, got ${shown(text)}`);
}

function decimal(
  name: string,
  text: string | undefined,
  least: number,
  most: number,
  otherwise: number,
  unit: string,
): number {
  if (text === undefined) return otherwise;
  const value = /^(?:\d+\.?\d*|\.\d+)$/.test(text) ? Number(text) : Number.NaN;
  if (value >= least && value <= most) return value;
  throw new UsageError(`${name}: expected ${unit} from ${least} to ${most}, got ${shown(text)}`);
}

function shown(text: string): string {
  return text === '' ? 'nothing' : `'${text}'`;
}
