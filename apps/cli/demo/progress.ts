/**
 * The line that tells how far a demonstration is, on a terminal only, and the watch that ends one that stands still.
 */
import type { Scene } from './scene.ts';

const SHOW_EVERY_MS = 100;
const BAR = 16;
/** A demonstration in which no byte arrives for so long is given up, milliseconds. */
export const STALL_MS = 30_000;

/** Shows progress on `out`; answers a function that removes the line. */
export function showProgress(scene: Scene, out: NodeJS.WriteStream): () => void {
  if (!out.isTTY) return () => {};
  const startedMs = Date.now();
  const timer = setInterval(() => {
    out.write(`\r${progressLine(scene, Date.now() - startedMs).slice(0, (out.columns ?? 80) - 1)}\x1b[K`);
  }, SHOW_EVERY_MS);
  return () => {
    clearInterval(timer);
    out.write('\r\x1b[K');
  };
}

/** '[####............]  25 %   12.4 MB  31 of 137 streams  402 moves  1.8 s'. */
export function progressLine(scene: Scene, elapsedMs: number): string {
  const { streams, mover } = scene;
  const part = streams.bytes === 0 ? 0 : Math.min(1, streams.bytesReceived / streams.bytes);
  const filled = Math.round(part * BAR);
  return [
    `[${'#'.repeat(filled)}${'.'.repeat(BAR - filled)}] ${String(Math.floor(part * 100)).padStart(3)} %`,
    `${(streams.bytesReceived / 1e6).toFixed(1).padStart(5)} MB`,
    `${streams.done} of ${streams.all.length} streams`,
    `${mover.moveCount} moves`,
    `${(elapsedMs / 1000).toFixed(1)} s`,
  ].join('  ');
}

/** Resolves with a sentence once nothing has arrived for {@link STALL_MS}; `stop` ends the watch. */
export function watchForStall(scene: Scene): { readonly stalled: Promise<string>; readonly stop: () => void } {
  let last = -1;
  let sinceMs = Date.now();
  let timer: NodeJS.Timeout | undefined;
  const stalled = new Promise<string>((resolve) => {
    timer = setInterval(() => {
      const { streams } = scene;
      const progress = streams.bytesReceived + streams.done;
      if (progress !== last) {
        last = progress;
        sinceMs = Date.now();
      } else if (Date.now() - sinceMs >= STALL_MS) {
        const open = streams.all.filter((stream) => !stream.isDone).map((stream) => stream.id);
        resolve(
          `given up: no byte arrived for ${STALL_MS / 1000} s; streams not done: ${open.slice(0, 20).join(', ')}`,
        );
      }
    }, 250);
  });
  return { stalled, stop: () => clearInterval(timer) };
}
