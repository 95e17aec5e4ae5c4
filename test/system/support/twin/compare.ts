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

/** The kernel's side of it: a script is played to it once, whoever is compared with it. */
export class Reference {
  readonly #kernel: Subject;
  readonly #played: Map<Script, readonly Outcome[]> = new Map();

  constructor(kernel: Subject) {
    this.#kernel = kernel;
  }

  async outcomes(script: Script): Promise<readonly Outcome[]> {
    const known = this.#played.get(script);
    if (known !== undefined) return known;
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
    const theirs = await reference.outcomes(script);
    const difference = compare(script, ours.name, theirs, await play(script, ours), departures);
    if (difference !== null) differences.push(difference);
  }
  return { differences, departures, scripts: scripts.length };
}

/** Null: nothing that is not explained. */
export function compare(
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
