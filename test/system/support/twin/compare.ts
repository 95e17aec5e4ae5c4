/** Scripts played to the kernel and to one of ours, and what differs for no reason that the table of departures knows. */
import { DEPARTURES, isSame } from './departures.ts';
import type { Outcome, Script } from './script.ts';
import { play } from './script.ts';
import type { Subject } from './subject.ts';

export interface Comparison {
  /** Scripts that differ, in words. */
  readonly differences: readonly string[];
  /** How often each departure explained something. */
  readonly departures: ReadonlyMap<string, number>;
  readonly scripts: number;
}

/** How often a script that differs is played to the kernel. */
const TRIES = 4;

/** The kernel's side of it: a script is played to it once, whoever is compared with it. */
export class Reference {
  readonly #kernel: Subject;
  readonly #played: Map<Script, readonly Outcome[]> = new Map();

  constructor(kernel: Subject) {
    this.#kernel = kernel;
  }

  /** `isAnew`: what is known of it is in doubt. */
  async outcomes(script: Script, isAnew: boolean): Promise<readonly Outcome[]> {
    const known = this.#played.get(script);
    if (known !== undefined && !isAnew) return known;
    const outcomes = await play(script, this.#kernel);
    this.#played.set(script, outcomes);
    return outcomes;
  }
}

/** Plays all of them. */
export async function compareAll(scripts: readonly Script[], ours: Subject, reference: Reference): Promise<Comparison> {
  const differences: string[] = [];
  const departures = new Map<string, number>();
  for (const script of scripts) {
    const difference = await compareOne(script, ours, reference, departures);
    if (difference !== null) differences.push(difference);
  }
  return { differences, departures, scripts: scripts.length };
}

/**
 * Plays one. The kernel's clock goes on while this machine does something else, and a SYN is sent again after a second: what differs is played
 * to it again, and counts if it differs each time.
 */
export async function compareOne(
  script: Script,
  ours: Subject,
  reference: Reference,
  departures: Map<string, number>,
): Promise<string | null> {
  const mine = await play(script, ours);
  let difference: string | null = null;
  for (let i = 0; i < TRIES; i++) {
    difference = compare(script, ours.name, await reference.outcomes(script, i > 0), mine, departures);
    if (difference === null) return null;
  }
  return difference;
}

/** Null: nothing that is not explained. */
function compare(
  script: Script,
  place: string,
  kernel: readonly Outcome[],
  ours: readonly Outcome[],
  departures: Map<string, number>,
): string | null {
  for (let at = 0; at < kernel.length; at++) {
    const [theirs, mine] = [kernel[at]!, ours[at]!];
    if (isSame(theirs, mine)) continue;
    const found = DEPARTURES.find((one) => one.is({ script, place, at, kernel: theirs, ours: mine }));
    if (found === undefined) return text(script, place, at, kernel, ours);
    departures.set(found.id, 1 + (departures.get(found.id) ?? 0));
    if (found.goesOn !== true) return null;
  }
  return null;
}

/** The script up to the step, and what the two have answered there. */
function text(script: Script, place: string, at: number, kernel: readonly Outcome[], ours: readonly Outcome[]): string {
  const line = ({ said, app, state }: Outcome): string => `${said}; ${app}; ${state}`;
  const before = kernel.slice(0, at + 1).map(({ step }) => `    ${step}`);
  return [
    `${script.name} (${place})`,
    ...before,
    `  kernel: ${line(kernel[at]!)}`,
    `  ours:   ${line(ours[at]!)}`,
  ].join('\n');
}
