/**
 * Runs a demonstration from its options to its result.
 */
import { once } from 'node:events';
import type { Held, Stack } from 'chimney';
import { runMemoryStreams, setMemoryScene } from './memory.ts';
import type { DemoOptions } from './options.ts';
import { showProgress, watchForStall } from './progress.ts';
import { type Demo, demoOf, INTERRUPTED } from './result.ts';
import type { Scene } from './scene.ts';
import { runTunStreams, setTunScene } from './tun.ts';

/** How long connections may take to say goodbye, which may need retransmissions, milliseconds. */
const GOODBYE_MS = 15_000;
/** How long closing may take before it is called stuck, milliseconds. */
const CLOSE_MS = 30_000;

/** Runs it. `signal` ends it early, in good order. */
export async function runDemo(options: DemoOptions, signal: AbortSignal): Promise<Demo> {
  if (options.tun) {
    const scene = await setTunScene(options);
    return play(scene, [scene.server], runTunStreams(scene, signal), signal);
  }
  const scene = await setMemoryScene(options);
  return play(scene, [scene.client, scene.server], runMemoryStreams(scene), signal);
}

async function play(
  scene: Scene,
  stacks: readonly Stack[],
  streams: Promise<void>,
  signal: AbortSignal,
): Promise<Demo> {
  const startedMs = performance.now();
  const hideProgress = showProgress(scene, process.stderr);
  const watch = watchForStall(scene);
  const aborted = signal.aborted ? Promise.resolve() : once(signal, 'abort');
  let interrupted = await Promise.race([streams.then(() => null), watch.stalled, aborted.then(() => INTERRUPTED)]);
  watch.stop();
  await scene.mover.stop();
  const elapsedMs = performance.now() - startedMs;
  hideProgress();
  if (!(await closeAll(scene, stacks, interrupted !== null)))
    interrupted ??= 'closing the stacks did not come to an end';
  for (const stream of scene.streams.all) if (!stream.isDone) stream.end(stream.error ?? 'did not end');
  await scene.capture.close();
  const held = stacks.map((stack) => stack.held()).reduce(addHeld);
  const findings = stacks.flatMap((stack) => stack.findings);
  return demoOf(scene, { elapsedMs, held, findings, interrupted });
}

/** Closes in good order: connections end by themselves, then the server, then the stacks. Answers whether it came to an end. */
async function closeAll(scene: Scene, stacks: readonly Stack[], isHurried: boolean): Promise<boolean> {
  const closing = async (): Promise<true> => {
    scene.http.close();
    // A stack that is closed resets what is left.
    if (!isHurried) await Promise.race([allEnded(stacks), late(GOODBYE_MS)]);
    await Promise.all(stacks.map((stack) => stack.close()));
    return true;
  };
  return Promise.race([closing(), late(CLOSE_MS)]);
}

/** Resolves once no connection is left but in TIME-WAIT. */
async function allEnded(stacks: readonly Stack[]): Promise<void> {
  while (stacks.some((stack) => stack.held().connections > 0)) await new Promise((resolve) => setTimeout(resolve, 10));
}

function late(ms: number): Promise<false> {
  return new Promise((resolve) => setTimeout(() => resolve(false), ms).unref());
}

function addHeld(a: Held, b: Held): Held {
  return {
    buffers: a.buffers + b.buffers,
    stateObjects: a.stateObjects + b.stateObjects,
    connections: a.connections + b.connections,
  };
}
