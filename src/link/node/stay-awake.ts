/**
 * An event loop that does not sleep between two frames of a stream: going to sleep and being woken costs the receiver as much as the frame,
 * and the sender, who wakes it, a fifth of its time.
 *
 * After a long frame the loop goes round without sleeping for some microseconds; all of its other work goes on meanwhile. Promises:
 * where no frame comes in that time this is tried ever more seldom, so a slow stream costs no more than a hundredth.
 */

/** A frame from so many bytes on is one of a stream: more follows. */
const STREAM_BYTES = 16_384;
/** How long the next one is waited for awake, milliseconds. */
const AWAKE_MS = 0.025;
/** Frames that are let pass after a wait in vain, at most. */
const REST_MAX = 256;

export class StayAwake {
  readonly #nowMs: () => number;
  readonly #soon: (turn: () => void) => unknown;
  #untilMs = 0;
  #isAwake = false;
  /** Frames that are still let pass, and how many after the next wait in vain. */
  #rest = 0;
  #nextRest = 1;
  readonly #turn: () => void;

  /** `soon`: calls back on the next round of the event loop, which does not sleep before. */
  constructor(nowMs = (): number => performance.now(), soon: (turn: () => void) => unknown = setImmediate) {
    this.#nowMs = nowMs;
    this.#soon = soon;
    this.#turn = () => {
      this.#isAwake = false;
      if (this.#nowMs() < this.#untilMs) this.#goRound();
      else {
        this.#rest = this.#nextRest;
        this.#nextRest = Math.min(REST_MAX, 2 * this.#nextRest);
      }
    };
  }

  /** A frame of so many bytes has come. */
  came(bytes: number): void {
    if (bytes < STREAM_BYTES) return;
    if (this.#isAwake) this.#nextRest = 1;
    else if (this.#rest > 0) {
      this.#rest--;
      return;
    }
    this.#untilMs = this.#nowMs() + AWAKE_MS;
    if (!this.#isAwake) this.#goRound();
  }

  #goRound(): void {
    this.#isAwake = true;
    this.#soon(this.#turn);
  }
}
