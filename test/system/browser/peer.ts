/**
 * One end of a transfer between two threads or two programs: a stack on a link that somebody has made, moved all the while.
 *
 * Runs wherever the core does. What it answers can be posted.
 */
import '../../../src/contract/index.ts';
import { createStack, findingText, type Link, type Stack, SystemRuntime } from '../../../src/index.ts';
import { Mover } from '../support/mover.ts';
import { content, receiveOne, sendAll, sha256 } from './transfer.ts';

export interface PeerOptions {
  readonly bytes: number;
  readonly seed: number;
  /** Milliseconds between two moves; 0: none. */
  readonly moveMs: number;
  readonly verify: boolean;
}

export interface PeerResult {
  readonly sha256: string;
  readonly bytes: number;
  readonly moves: number;
  readonly refusals: readonly string[];
  readonly findings: readonly string[];
  readonly held: object;
  readonly elapsedMs: number;
}

const RECEIVER = '10.0.0.1';
const SENDER = '10.0.0.2';
const PORT = 9;

type MakeLink = (runtime: SystemRuntime) => Link;

/** Receives all; the answer's hash is of what came. */
export function receiver(
  makeLink: MakeLink,
  options: PeerOptions,
  onReady: () => void = () => {},
): Promise<PeerResult> {
  return play(makeLink, RECEIVER, options, async (stack, mover) => {
    const arriving = receiveOne(stack, { address: RECEIVER, port: PORT }, options.bytes, (one) => mover?.add(one));
    onReady();
    return arriving;
  });
}

/** Sends all; the answer's hash is of what was sent. */
export function sender(makeLink: MakeLink, options: PeerOptions): Promise<PeerResult> {
  const sent = content(options.bytes, options.seed);
  return play(makeLink, SENDER, options, async (stack, mover) => {
    await sendAll(stack, { address: RECEIVER, port: PORT }, sent, (one) => mover?.add(one));
    return { bytes: sent.length, sha256: await sha256(sent) };
  });
}

async function play(
  makeLink: MakeLink,
  address: string,
  options: PeerOptions,
  part: (stack: Stack, mover: Mover | null) => Promise<{ bytes: number; sha256: string }>,
): Promise<PeerResult> {
  const runtime = new SystemRuntime();
  const { verify } = options;
  const stack = createStack({ runtime, verify, links: [{ link: makeLink(runtime), addresses: [`${address}/24`] }] });
  const mover = options.moveMs > 0 ? new Mover(options.moveMs) : null;
  const startedUs = runtime.nowUs();
  const { bytes, sha256: hash } = await part(stack, mover).finally(() => mover?.stop());
  const elapsedMs = (runtime.nowUs() - startedUs) / 1000;
  await stack.close();
  runtime.close();
  return {
    sha256: hash,
    bytes,
    moves: mover?.moves.length ?? 0,
    refusals: mover?.refusals ?? [],
    findings: stack.findings.map(findingText),
    held: stack.held(),
    elapsedMs,
  };
}
