/**
 * The drivers between host and target, by name: what `intermediates` may hold, and how a driver is made from it.
 *
 * One place for the drivers of the package; a driver of one's own is a function.
 */

import { Capture, type CaptureOptions } from './im/capture.ts';
import { Filter, type FilterOptions } from './im/filter.ts';
import { Impair, type ImpairOptions } from './im/impair.ts';
import type { IntermediateDriver, IntermediateEnvironment, IntermediateOptions } from './im/intermediate-driver.ts';
import { PassThrough } from './im/pass-through.ts';
import { PcapngWriter } from './link/pcapng.ts';
import type { AdapterAttributes } from './ndis/protocol.ts';

/** A driver's own options; `name` is optional here: the stack makes one up. */
type Named<Kind extends string, Options extends IntermediateOptions> = { readonly kind: Kind } & Partial<
  Pick<Options, 'name'>
> &
  Omit<Options, 'name'>;

/** A capture as a file: what a PcapngWriter wants to know beside the driver's own options. */
export interface CaptureFileOptions extends Omit<CaptureOptions, 'output'> {
  /** Takes finished pieces of a pcapng file, in order; they are the taker's. */
  readonly write: (bytes: Uint8Array) => void;
  /** Bytes of each frame kept; default all. */
  readonly snapLength?: number;
  /** Bytes of file at most; default 256 MiB. */
  readonly limitBytes?: number;
  /** What the runtime's zero is in Unix time, microseconds. Default 0. */
  readonly epochOffsetUs?: number;
}

/** A driver between host and target: ours by name, or with options, or one of one's own over the adapter named. */
export type IntermediateChoice =
  | 'pass-through'
  | 'filter'
  | 'impair'
  | Named<'pass-through', IntermediateOptions>
  | Named<'filter', FilterOptions>
  | Named<'impair', ImpairOptions>
  | Named<'capture', CaptureFileOptions>
  | ((environment: IntermediateEnvironment, adapterBelow: string, name: string) => IntermediateDriver);

/** The kinds that `intermediates` may name. */
export const INTERMEDIATE_KINDS: readonly string[] = ['pass-through', 'filter', 'impair', 'capture'];

/** Makes the driver number `level` (from 1) over `adapterBelow`, on the link named `linkName`. */
export function makeIntermediate(
  choice: IntermediateChoice,
  environment: IntermediateEnvironment,
  adapterBelow: string,
  linkName: string,
  level: number,
): IntermediateDriver {
  if (typeof choice === 'function') return choice(environment, adapterBelow, `${linkName}/driver${level}`);
  const own: Exclude<IntermediateChoice, string | ((...args: never[]) => unknown)> =
    typeof choice === 'string' ? { kind: choice } : choice;
  const options = { ...own, name: own.name ?? `${linkName}/${own.kind}${level}` };
  switch (options.kind) {
    case 'filter':
      return new Filter(environment, adapterBelow, options);
    case 'impair':
      return new Impair(environment, adapterBelow, options);
    case 'capture':
      return captureFile(environment, adapterBelow, options);
    default:
      return new PassThrough(environment, adapterBelow, options);
  }
}

function captureFile(
  environment: IntermediateEnvironment,
  adapterBelow: string,
  options: CaptureFileOptions & { readonly name: string },
): Capture {
  const { write, snapLength, limitBytes, epochOffsetUs, ...own } = options;
  const output = ({ medium }: AdapterAttributes): PcapngWriter =>
    new PcapngWriter({
      write,
      medium,
      interfaceName: adapterBelow,
      ...(snapLength === undefined ? {} : { snapLength }),
      ...(limitBytes === undefined ? {} : { limitBytes }),
      ...(epochOffsetUs === undefined ? {} : { epochOffsetUs }),
    });
  return new Capture(environment, adapterBelow, { ...own, output });
}

/** Why a choice is no driver; null: it is one. */
export function whyNoIntermediate(choice: unknown): string | null {
  if (typeof choice === 'function') return null;
  const own = typeof choice === 'object' && choice !== null ? (choice as { kind?: unknown; write?: unknown }) : null;
  const kind: unknown = own === null ? choice : own.kind;
  if (kind === 'capture' && typeof own?.write !== 'function') {
    return "{ kind: 'capture', write } with a function that takes pieces of the file";
  }
  if (typeof kind === 'string' && INTERMEDIATE_KINDS.includes(kind)) return null;
  return `'${INTERMEDIATE_KINDS.join("', '")}', an object with such a kind, or a function that makes a driver`;
}
