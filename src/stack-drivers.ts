/**
 * The drivers between host and target, by name: what `intermediates` may hold, and how a driver is made from it.
 *
 * One place for the drivers of the package; a driver of one's own is a function.
 */

import { Filter, type FilterOptions } from './im/filter.ts';
import { Impair, type ImpairOptions } from './im/impair.ts';
import type { IntermediateDriver, IntermediateEnvironment, IntermediateOptions } from './im/intermediate-driver.ts';
import { PassThrough } from './im/pass-through.ts';

/** A driver's own options; `name` is optional here: the stack makes one up. */
type Named<Kind extends string, Options extends IntermediateOptions> = { readonly kind: Kind } & Partial<
  Pick<Options, 'name'>
> &
  Omit<Options, 'name'>;

/** A driver between host and target: ours by name, or with options, or one of one's own over the adapter named. */
export type IntermediateChoice =
  | 'pass-through'
  | 'filter'
  | 'impair'
  | Named<'pass-through', IntermediateOptions>
  | Named<'filter', FilterOptions>
  | Named<'impair', ImpairOptions>
  | ((environment: IntermediateEnvironment, adapterBelow: string, name: string) => IntermediateDriver);

/** The kinds that `intermediates` may name. */
export const INTERMEDIATE_KINDS: readonly string[] = ['pass-through', 'filter', 'impair'];

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
    default:
      return new PassThrough(environment, adapterBelow, options);
  }
}

/** Why a choice is no driver; null: it is one. */
export function whyNoIntermediate(choice: unknown): string | null {
  if (typeof choice === 'function') return null;
  const kind: unknown = typeof choice === 'object' && choice !== null ? (choice as { kind?: unknown }).kind : choice;
  if (typeof kind === 'string' && INTERMEDIATE_KINDS.includes(kind)) return null;
  return `'${INTERMEDIATE_KINDS.join("', '")}', an object with such a kind, or a function that makes a driver`;
}
