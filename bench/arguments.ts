/** The command line of `npm run bench`: what there is, and what is said of what there is not, before anything is measured. */
import { accessSync, constants, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { parseArgs } from 'node:util';
import { COMPARISONS } from './comparisons.ts';
import { GROUPS } from './groups.ts';

const OPTIONS = {
  json: { type: 'string' },
  page: { type: 'string' },
  rounds: { type: 'string' },
  only: { type: 'string' },
  modes: { type: 'string' },
  connections: { type: 'string' },
  congestion: { type: 'string', default: 'cubic' },
  setup: { type: 'boolean', default: false },
  minutes: { type: 'string', default: '10' },
  help: { type: 'boolean', short: 'h', default: false },
} as const;

export const USAGE: string = `usage: npm run bench -- [group ...] [options]

  groups            ${[...COMPARISONS, ...GROUPS].map(({ name }) => name).join(', ')}; none: all but the long ones
  --rounds N        how often each is measured
  --only A,B        of a comparison (${COMPARISONS.map(({ name }) => name).join(', ')}) only these subjects
  --modes A,B       of a comparison only these: in, back, out, echo ...
  --connections N,M of a comparison only so many connections
  --congestion C    the kernel's congestion control (cubic)
  --minutes N       how long the soak takes (10)
  --json FILE       writes the results there
  --page FILE       draws them as a page
  --setup           installs and builds the peers`;

export interface Values {
  readonly json?: string;
  readonly page?: string;
  readonly rounds?: string;
  readonly only?: string;
  readonly modes?: string;
  readonly connections?: string;
  readonly congestion: string;
  readonly setup: boolean;
  readonly minutes: string;
  readonly help: boolean;
}

export interface Arguments {
  readonly values: Values;
  /** Groups. */
  readonly positionals: readonly string[];
}

function parse(args: readonly string[]): Arguments {
  return parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true });
}

/** The command line; or what is wrong with it, as a sentence. */
export function understand(args: readonly string[]): Arguments | string {
  let given: Arguments;
  try {
    given = parse(args);
  } catch (error) {
    return (error as Error).message.split('\n')[0]!.split('. ')[0]!;
  }
  return complaintAbout(given) ?? given;
}

function complaintAbout({ values, positionals }: Arguments): string | null {
  const names = [...GROUPS, ...COMPARISONS].map(({ name }) => name);
  const unknown = positionals.find((name) => !names.includes(name));
  if (unknown !== undefined) return `no group '${unknown}': expected one of ${names.join(', ')}`;
  const { rounds, minutes } = values;
  if (rounds !== undefined && !/^[1-9]\d{0,5}$/.test(rounds)) return `--rounds: expected a count, got '${rounds}'`;
  if (!(Number(minutes) > 0)) return `--minutes: expected a number above 0, got '${minutes}'`;
  return complaintAboutLists(values, positionals) ?? complaintAboutKernel(values) ?? complaintAboutFiles(values);
}

/** What is not in any of the comparisons that are wanted. */
function complaintAboutLists(values: Values, positionals: readonly string[]): string | null {
  const wanted = COMPARISONS.filter(({ name }) => positionals.length === 0 || positionals.includes(name));
  const plans = wanted.map(({ plan }) => plan);
  const known = {
    only: plans.flatMap(({ subjects }) => subjects.map(({ name }) => name)),
    modes: plans.flatMap(({ modes }) => modes as readonly string[]),
    connections: plans.flatMap(({ connections }) => connections.map(String)),
  };
  for (const option of ['only', 'modes', 'connections'] as const) {
    const given = values[option];
    if (given === undefined) continue;
    const all = [...new Set(known[option])];
    if (all.length === 0) return `--${option}: expected a comparison to be measured, one of ${namesOfComparisons()}`;
    const strange = given.split(',').find((one) => !all.includes(one));
    if (strange !== undefined) return `--${option}: expected some of ${all.join(', ')}; got '${strange}'`;
  }
  return null;
}

function namesOfComparisons(): string {
  return COMPARISONS.map(({ name }) => name).join(', ');
}

function complaintAboutKernel({ congestion }: Values): string | null {
  let available: string[];
  try {
    available = readFileSync('/proc/sys/net/ipv4/tcp_available_congestion_control', 'utf8').trim().split(' ');
  } catch {
    return null;
  }
  if (available.includes(congestion)) return null;
  return `--congestion: expected one of ${available.join(', ')}; got '${congestion}'`;
}

/** An hour of measuring is not to be lost for a folder that is not there. */
function complaintAboutFiles(values: Values): string | null {
  for (const option of ['json', 'page'] as const) {
    const file = values[option];
    if (file === undefined) continue;
    try {
      accessSync(dirname(file), constants.W_OK);
    } catch {
      return `--${option}: expected a file in a folder that can be written to, got '${file}'`;
    }
  }
  return null;
}
