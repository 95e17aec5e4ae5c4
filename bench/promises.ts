/**
 * What the project promises of its speed, and what became of it: the ratio within each round, of which the median counts. A machine may be
 * twice as fast in one round as in another; those who are measured next to each other in one of them have the same machine.
 */
import { median } from './measure.ts';
import type { Result } from './results.ts';

/** A ratio that was wanted and the one that was seen. */
export interface Verdict {
  readonly what: string;
  readonly ratio: number;
  readonly wanted: string;
  readonly isKept: boolean;
}

interface Promise {
  readonly what: string;
  readonly group: string;
  readonly of: string;
  /** Names of rows; the largest counts. A pattern stands for the rows that it matches. */
  readonly to: string | RegExp;
  readonly least?: number;
  readonly most?: number;
}

/** User-space stacks that are not ours, over TUN or sockets. */
const PEERS = '(lwIP (?!.*packet).*|gVisor(?! packet).*|slirp4netns|passt)';
/** Those of them that have nothing left to the device. */
const PLAIN_PEERS = '(lwIP .*plain|lwIP Debian|gVisor plain|slirp4netns|passt)';

/** Those over a wire without TSO. */
const PACKET_PEERS = '(lwIP .*packet|gVisor packet)';

const PROMISES: Promise[] = [
  { what: 'kernel to application, safe copies', group: 'peers', of: 'chimney in', to: 'node net in', least: 0.4 },
  {
    what: "kernel to application, the application's own buffer",
    group: 'peers',
    of: 'chimney back',
    to: 'node net in',
    least: 0.8,
  },
  { what: 'application to kernel', group: 'peers', of: 'chimney out', to: 'node net out', least: 0.5 },
  { what: 'in, against slirp4netns', group: 'peers', of: 'chimney in', to: 'slirp4netns in', least: 5 },
  { what: 'out, against slirp4netns', group: 'peers', of: 'chimney out', to: 'slirp4netns out', least: 5 },
  { what: 'in, against gVisor', group: 'peers', of: 'chimney in', to: 'gVisor in', least: 2 },
  { what: 'out, against gVisor', group: 'peers', of: 'chimney out', to: 'gVisor out', least: 2 },
  {
    what: 'out, against gVisor, to a reader that throws away what came',
    group: 'peers',
    of: 'chimney drop',
    to: 'gVisor drop',
    least: 2,
  },
  {
    what: "the application's callbacks on the device's thread, out, against gVisor",
    group: 'peers',
    of: 'chimney thread out',
    to: 'gVisor out',
    least: 2,
  },
  {
    what: 'without TSO in, against the best other',
    group: 'peers',
    of: 'chimney plain in',
    to: new RegExp(`^${PLAIN_PEERS} in$`),
    least: 1,
  },
  {
    what: 'without TSO out, against the best other',
    group: 'peers',
    of: 'chimney plain out',
    to: new RegExp(`^${PLAIN_PEERS} out$`),
    least: 1,
  },
  {
    what: 'over AF_PACKET without TSO in, against the best other',
    group: 'peers',
    of: 'chimney packet in',
    to: new RegExp(`^${PACKET_PEERS} in$`),
    least: 1,
  },
  {
    what: 'over AF_PACKET without TSO out, against the best other',
    group: 'peers',
    of: 'chimney packet out',
    to: new RegExp(`^${PACKET_PEERS} out$`),
    least: 1,
  },
  {
    what: "the application's callbacks on the device's thread, in, against lwIP",
    group: 'peers',
    of: 'chimney thread in',
    to: 'lwIP large in',
    least: 0.9,
  },
  {
    what: 'the same, out, against lwIP',
    group: 'peers',
    of: 'chimney thread out',
    to: /^lwIP (?!.*packet).* out$/,
    least: 5,
  },
  {
    what: 'the same, out, against the best other',
    group: 'peers',
    of: 'chimney thread out',
    to: new RegExp(`^${PEERS} out$`),
    least: 5,
  },
  { what: 'echo of one byte, p50', group: 'peers', of: 'chimney echo p50', to: 'node net echo p50', most: 1.2 },
  { what: 'echo of one byte, p99', group: 'peers', of: 'chimney echo p99', to: 'node net echo p99', most: 2 },
  { what: 'short HTTP answers, connections kept', group: 'http', of: 'host kept', to: 'node kept', least: 0.5 },
  { what: 'short HTTP answers, a connection each', group: 'http', of: 'host fresh', to: 'node fresh', least: 0.5 },
];

for (const how of ['indicated', 'posted']) {
  // What is measured twice differs by some percent; a test for an observer costs a tenth of one.
  const what = `a segment without a verifier, against an NDIS without observers (${how})`;
  PROMISES.push({ what, group: 'verifier', of: `absent ${how}`, to: `bare ${how}`, most: 1.05 });
}

/** Those promises whose figures are there. */
export function verdicts(results: readonly Result[]): Verdict[] {
  const found: Verdict[] = [];
  for (const promise of PROMISES) {
    const own = results.find(({ group, name }) => group === promise.group && name === promise.of);
    const others = results.filter(({ group, name }) => group === promise.group && matches(promise.to, name));
    if (own === undefined || others.length === 0) continue;
    const ratio = ratioOf(own, others);
    const { least = 0, most = Number.POSITIVE_INFINITY } = promise;
    const wanted = promise.least === undefined ? `at most ${most}` : `at least ${least}`;
    found.push({ what: promise.what, ratio, wanted, isKept: ratio >= least && ratio <= most });
  }
  return [...found, ...scaling(results)];
}

/** Against the largest of the others, round by round; of medians where one was not measured in each round. */
function ratioOf(own: Result, others: readonly Result[]): number {
  const rounds = own.values.length;
  if (others.some(({ values }) => values.length !== rounds)) {
    return own.median / Math.max(...others.map((other) => other.median));
  }
  return median(own.values.map((value, round) => value / Math.max(...others.map(({ values }) => values[round]!))));
}

function matches(wanted: string | RegExp, name: string): boolean {
  return typeof wanted === 'string' ? name === wanted : wanted.test(name);
}

/** However many connections: at least so much of the best. */
function scaling(results: readonly Result[]): Verdict[] {
  return (['in', 'out'] as const).flatMap((direction) => {
    const row = new RegExp(`^chimney ${direction} x\\d+$`);
    const rows = results.filter(({ group, name }) => group === 'scaling' && row.test(name));
    if (rows.length === 0) return [];
    const medians = rows.map((row) => row.median);
    const ratio = Math.min(...medians) / Math.max(...medians);
    const what = `aggregate of 1 to 10,000 connections ${direction}, worst against best`;
    return [{ what, ratio, wanted: 'at least 0.7', isKept: ratio >= 0.7 }];
  });
}
