/**
 * Two stacks on a wire in memory, one bulk transfer with loss, both ends moved host, target, host all the while, everything watched.
 *
 * Runs wherever the core does; what it answers can be posted from a worker. Importing `contract/index.ts` is what `verify` takes
 * where there is no `require`.
 */
import '../../../src/contract/index.ts';
import {
  createStack,
  findingText,
  type Link,
  type MemoryLinkOptions,
  memoryLinkPair,
  memorySwitch,
  PcapngWriter,
  SystemRuntime,
  Trace,
} from '../../../src/index.ts';
import { Mover } from '../support/mover.ts';
import { content, receiveOne, sendAll, sha256 } from './transfer.ts';

export interface ScenarioOptions {
  readonly bytes: number;
  /** Probability of a frame's loss. */
  readonly loss: number;
  /** Of each direction, microseconds. */
  readonly delayUs: number;
  readonly seed: number;
  /** Milliseconds between two moves of each end; 0: none moves. */
  readonly moveMs: number;
  readonly verify: boolean;
  /** Stacks at the ports of a switch instead of the ends of a wire. */
  readonly isSwitched: boolean;
  readonly mtu: number;
}

export interface ScenarioResult {
  readonly bytes: number;
  readonly isHashRight: boolean;
  readonly toTarget: number;
  readonly toHost: number;
  readonly refusals: readonly string[];
  readonly findings: readonly string[];
  readonly held: readonly object[];
  readonly framesLost: number;
  /** Microseconds: the middle one and the longest. */
  readonly freezeUs: readonly [number, number];
  readonly captureBytes: number;
  /** First four bytes of the capture. */
  readonly captureMagic: readonly number[];
  readonly elapsedMs: number;
}

const DEFAULTS: ScenarioOptions = {
  bytes: 4 << 20,
  loss: 0.01,
  delayUs: 1000,
  seed: 1,
  moveMs: 5,
  verify: true,
  isSwitched: false,
  mtu: 1500,
};

/** Plays it once. */
export async function scenario(given: Partial<ScenarioOptions> = {}): Promise<ScenarioResult> {
  const options = { ...DEFAULTS, ...given };
  const { seed, verify } = options;
  const runtime = new SystemRuntime();
  const impairment = { loss: options.loss, delayUs: options.delayUs };
  const trace = new Trace();
  const [a, b] = endsOf({ runtime, trace, impairment, seed, mtu: options.mtu }, options.isSwitched);
  const pieces: Uint8Array[] = [];
  const capture = new PcapngWriter({ write: (piece) => pieces.push(piece) });
  const left = createStack({
    runtime,
    verify,
    links: [{ link: a, addresses: ['10.0.0.1/24'], ...(verify ? { capture } : {}) }],
  });
  const right = createStack({ runtime, verify, links: [{ link: b, addresses: ['10.0.0.2/24'] }] });
  const mover = options.moveMs > 0 ? new Mover(options.moveMs) : null;
  const sent = content(options.bytes, seed);

  const startedUs = runtime.nowUs();
  const arriving = receiveOne(left, { address: '10.0.0.1', port: 9 }, options.bytes, (one) => mover?.add(one));
  const sending = sendAll(right, { address: '10.0.0.1', port: 9 }, sent, (one) => mover?.add(one));
  const [arrived] = await Promise.all([arriving, sending]).finally(() => mover?.stop());
  const elapsedMs = (runtime.nowUs() - startedUs) / 1000;

  const isHashRight = arrived.sha256 === (await sha256(sent));
  await Promise.all([left.close(), right.close()]);
  capture.flush();
  runtime.close();
  const freezes = (mover?.moves ?? []).map((move) => move.freezeUs).sort((x, y) => x - y);
  return {
    bytes: arrived.bytes,
    isHashRight,
    toTarget: mover?.toTarget ?? 0,
    toHost: mover?.toHost ?? 0,
    refusals: mover?.refusals ?? [],
    findings: [...left.findings, ...right.findings].map(findingText),
    held: [left.held(), right.held()],
    framesLost: trace.counters().LINK_FRAME_LOST ?? 0,
    freezeUs: [freezes[freezes.length >> 1] ?? 0, freezes.at(-1) ?? 0],
    captureBytes: pieces.reduce((sum, piece) => sum + piece.length, 0),
    captureMagic: [...(pieces[0]?.subarray(0, 4) ?? [])],
    elapsedMs,
  };
}

function endsOf(options: MemoryLinkOptions, isSwitched: boolean): readonly [Link, Link] {
  if (isSwitched) {
    const [a, b] = memorySwitch({ ...options, ports: ['one', 'two'] });
    return [a!, b!];
  }
  const { a, b } = memoryLinkPair(options);
  return [a, b];
}
