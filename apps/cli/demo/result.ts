/**
 * What a demonstration shows, as one object, and whether it is as it must be.
 */
import type { Finding, Held, Move } from 'chimney';
import type { OperationCounts } from './operations.ts';
import type { Scene } from './scene.ts';

/** The object that `--json` prints. */
export interface DemoResult {
  /** Whether everything is as it must be; {@link Demo.faults} says what is not. */
  readonly ok: boolean;
  readonly seed: number;
  /** Concurrent downloads, as asked for; uploads come on top. */
  readonly connections: number;
  /** HTTP bodies of which both ends computed a SHA-256. */
  readonly streams: number;
  /** Bytes of these bodies that arrived. */
  readonly bytes: number;
  readonly hashesEqual: boolean;
  /** Bytes that did not arrive, or arrived changed. */
  readonly bytesLost: number;
  /** Bytes that arrived again, or that nobody sent. */
  readonly bytesRepeated: number;
  /** TCP segments with RST in the capture. */
  readonly resets: number;
  readonly moves: MoveCounts;
  readonly operations: OperationCounts;
  /** From the moment a connection stopped being served to the moment it was served again, microseconds. */
  readonly freezeUs: { readonly p50: number; readonly p99: number; readonly max: number };
  readonly findings: readonly Finding[];
  /** What is held after both stacks were closed. */
  readonly held: Held;
  /** Path of the capture. */
  readonly pcapng: string;
  readonly elapsedMs: number;
}

export interface MoveCounts {
  /** Both ways together: all that follow, and those made because a connection closed. */
  readonly total: number;
  /** Asked for by the application: handed down, and taken back. */
  readonly manual: number;
  /** Asked for by the target, for one connection. */
  readonly retrieve: number;
  /** Asked for by the target, for all. */
  readonly uploadAll: number;
  /** Those of `total` that went through an intermediate driver. */
  readonly viaIntermediate: number;
}

/** A line of the table of moves. */
export interface MoveLine {
  readonly text: string;
  readonly count: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/** A finished demonstration: the result, and what only people want to know. */
export interface Demo {
  readonly result: DemoResult;
  /** What is not as it must be, a sentence each. */
  readonly faults: readonly string[];
  readonly moveLines: readonly MoveLine[];
  readonly streamsEqual: number;
  readonly packets: number;
  /** TCP connections that the server had. */
  readonly serverConnections: number;
  readonly leastMoves: number;
  readonly refusals: ReadonlyMap<string, number>;
}

/** What was seen after the scene was closed. */
export interface Ending {
  readonly elapsedMs: number;
  readonly held: Held;
  readonly findings: readonly Finding[];
  /** Why it ended before its time; null: it did not. */
  readonly interrupted: string | null;
}

/** What is said when the user has ended it. */
export const INTERRUPTED = 'interrupted before the end';

export function demoOf(scene: Scene, ending: Ending): Demo {
  const { options, streams, mover, capture, operations } = scene;
  const moves = mover.moves();
  const all = streams.all;
  const freezes = moves.map(({ move }) => move.freezeUs);
  const plain = {
    seed: options.seed,
    connections: options.connections,
    streams: all.length,
    bytes: streams.bytesReceived,
    hashesEqual: all.every((stream) => stream.areHashesEqual),
    bytesLost: sum(all.map((stream) => stream.bytesLost)),
    bytesRepeated: sum(all.map((stream) => stream.bytesRepeated)),
    resets: capture.resets,
    moves: {
      total: moves.length,
      manual: moves.filter(({ move }) => move.cause === 'manual').length,
      retrieve: moves.filter(({ move }) => move.cause === 'retrieve').length,
      uploadAll: moves.filter(({ move }) => move.cause === 'upload-all').length,
      viaIntermediate: moves.filter(({ isViaIntermediate }) => isViaIntermediate).length,
    },
    operations: { ...operations.counts },
    freezeUs: spread(freezes),
    findings: ending.findings,
    held: ending.held,
    pcapng: capture.path,
    elapsedMs: Math.round(ending.elapsedMs),
  };
  const faults = faultsOf(scene, plain, ending);
  return {
    result: { ok: faults.length === 0, ...plain },
    faults,
    moveLines: moveLines(moves.map(({ move }) => move)),
    streamsEqual: all.filter((stream) => stream.areHashesEqual).length,
    packets: capture.packets,
    serverConnections: mover.connectionCount,
    leastMoves: mover.connectionCount === 0 ? 0 : mover.leastMoves,
    refusals: mover.refusals,
  };
}

/** Operations of which every demonstration in memory has some; the others depend on who closes and who dozes when. */
const ALWAYS_USED = ['initiate', 'terminate', 'query', 'update', 'send', 'forward'] as const;

function faultsOf(scene: Scene, result: Omit<DemoResult, 'ok'>, ending: Ending): string[] {
  const { options, streams, mover } = scene;
  const faults: string[] = [];
  // What follows from an interruption is no news.
  if (ending.interrupted === INTERRUPTED) return [INTERRUPTED];
  const demand = (isSo: boolean, otherwise: string): void => void (isSo || faults.push(otherwise));
  if (ending.interrupted !== null) faults.push(ending.interrupted);
  const failed = streams.all.filter((stream) => stream.error !== null);
  for (const stream of failed.slice(0, 3)) faults.push(`${stream.kind} ${stream.id} (${stream.name}): ${stream.error}`);
  if (failed.length > 3) faults.push(`${failed.length - 3} more streams failed`);
  const unequal = streams.all.filter((stream) => !stream.areHashesEqual);
  const which = unequal.slice(0, 5).map((stream) => `${stream.id} (${stream.name})`);
  demand(unequal.length === 0, `streams with another SHA-256 at one end: ${unequal.length}: ${which.join(', ')}`);
  demand(result.bytesLost === 0, `${result.bytesLost} bytes were lost`);
  demand(result.bytesRepeated === 0, `${result.bytesRepeated} bytes were repeated`);
  demand(result.resets === 0, `${result.resets} segments with RST were seen`);
  demand(result.findings.length === 0, `the verifier has ${result.findings.length} findings`);
  for (const [what, count] of Object.entries(result.held)) demand(count === 0, `${count} ${what} are still held`);
  for (const kind of ['manual', 'retrieve', 'uploadAll', 'viaIntermediate'] as const) {
    demand(result.moves[kind] > 0, `there was no move of the kind ${kind}`);
  }
  for (const operation of options.tun ? [] : ALWAYS_USED) {
    demand(result.operations[operation] > 0, `the chimney's ${operation} was never used`);
  }
  faults.push(...mover.failures.slice(0, 3));
  return faults;
}

const LINES: readonly (readonly [text: string, matches: (move: Move) => boolean])[] = [
  ['host > target, by hand', (move) => move.kind === 'initiate'],
  ['target > host, by hand', (move) => move.kind === 'terminate' && move.cause === 'manual'],
  ['target > host, asked for by the target', (move) => move.cause === 'retrieve'],
  ['target > host, all at once', (move) => move.cause === 'upload-all'],
  ['target > host, for the close', (move) => move.cause === 'close' || move.cause === 'failure'],
];

function moveLines(moves: readonly Move[]): MoveLine[] {
  return LINES.map(([text, matches]) => {
    const freezes = moves.filter(matches).map((move) => move.freezeUs);
    return { text, count: freezes.length, ...spread(freezes) };
  }).filter((line, i) => line.count > 0 || i < LINES.length - 1);
}

/** Percentiles by nearest rank; all 0 when there are no values. */
export function spread(values: readonly number[]): { p50: number; p99: number; max: number } {
  const sorted = values.toSorted((a, b) => a - b);
  const rank = (part: number): number => sorted[Math.max(0, Math.ceil(part * sorted.length) - 1)] ?? 0;
  return { p50: rank(0.5), p99: rank(0.99), max: rank(1) };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
