/**
 * The real world as a {@link Runtime}: the platform's clock, timers, event loop and strong randomness.
 *
 * One heap of deadlines and one platform timer serve all timers of a stack. Deferred tasks run in the order in which they
 * were deferred, soon (between the ticks and microtasks of the caller), but never for longer than BURST_US in one turn of the
 * event loop, so that I/O, timers and immediates of the program are not starved. Deadlines nearer than a platform timer can
 * measure are polled for, once a turn of the loop, while somebody holds the runtime. Runs in Node and, without Node, in pages
 * and workers.
 */

import { DeadlineHeap } from './base/deadline-heap.ts';
import { NEVER, type RandomSource, type Runtime, type Timer } from './base/runtime.ts';

/** Longest time that deferred tasks run before the event loop gets its turn, microseconds. */
const BURST_US = 500;
/** Tasks between two looks at the clock. */
const TASKS_PER_LOOK = 32;
/** Deadlines nearer than this are polled for: platform timers count milliseconds. */
const POLL_BELOW_US = 1_000;
/** A platform timer that fires so much later than it should tells that the process stood still, microseconds. */
const STALLED_US = 10_000;
/** Longest time a platform timer can be armed for, milliseconds (2^31 - 1). */
const TIMER_MS_MAX = 0x7fff_ffff;
/** The clock does not begin at zero, so that no moment is mistaken for "never set". */
const EPOCH_US = 1_000_000;

/** What the runtime asks of the platform. A test may give its own; the default is globalThis. */
export interface Platform {
  /** Milliseconds with fractions on a monotonic clock. */
  nowMs(): number;
  /** Calls back after `ms` milliseconds, without keeping the process alive for it. Answers a handle. */
  setTimeout(task: () => void, ms: number): unknown;
  clearTimeout(handle: unknown): void;
  /** Calls back on the next turn of the event loop. */
  setImmediate(task: () => void): void;
  /** Calls back after the running code has unwound, before the next turn of the event loop. */
  soon(task: () => void): void;
  /** Keeps the process alive until the answer is called. */
  keepAlive(): () => void;
  /** Fills up to 65536 bytes with strong random numbers. */
  randomFill(bytes: Uint8Array): void;
}

class SystemTimer implements Timer {
  readonly #runtime: SystemRuntime;
  readonly entry: number;
  readonly onDue: (nowUs: number) => void;

  constructor(runtime: SystemRuntime, entry: number, onDue: (nowUs: number) => void) {
    this.#runtime = runtime;
    this.entry = entry;
    this.onDue = onDue;
  }

  get atUs(): number {
    return this.#runtime.deadlineOf(this.entry);
  }

  arm(atUs: number): void {
    this.#runtime.setDeadline(this.entry, atUs);
  }

  disarm(): void {
    this.#runtime.setDeadline(this.entry, NEVER);
  }
}

/** The runtime of real programs. One serves any number of stacks. */
export class SystemRuntime implements Runtime {
  readonly random: RandomSource;
  readonly #platform: Platform;
  readonly #heap = new DeadlineHeap();
  readonly #timers: SystemTimer[] = [];
  /** Deferred tasks; those before `#done` have run. */
  #tasks: (() => void)[] = [];
  #done = 0;
  /** Urgent tasks; they run before all others and whatever the time. */
  readonly #urgent: (() => void)[] = [];
  #urgentDone = 0;
  /** Whether a drain was asked for and has not begun, and whether one is going on. */
  #isDrainComing = false;
  #isDraining = false;
  /** When the deferred tasks began to run in this turn of the event loop; NEVER: they have not. */
  #burstSinceUs = NEVER;
  /** Whether an immediate is coming that ends this turn. */
  #isTurnMarked = false;
  /** The moment for which the platform timer is armed; NEVER when it is not. */
  #armedForUs = NEVER;
  #armed: unknown = null;
  #isPolling = false;
  #holds = 0;
  #letGo: (() => void) | null = null;
  #isClosed = false;

  constructor(platform: Platform = systemPlatform()) {
    this.#platform = platform;
    this.random = new StrongRandom(platform);
  }

  nowUs(): number {
    return EPOCH_US + Math.floor(this.#platform.nowMs() * 1000);
  }

  timer(onDue: (nowUs: number) => void): Timer {
    const timer = new SystemTimer(this, this.#timers.length, onDue);
    this.#timers.push(timer);
    return timer;
  }

  defer(task: () => void): void {
    this.#tasks.push(task);
    if (!this.#isDraining) this.#drainSoon();
  }

  urgent(task: () => void): void {
    this.#urgent.push(task);
    if (!this.#isDraining && this.#urgent.length === 1) this.#platform.soon(this.#runUrgent);
  }

  /** Runs urgent tasks, those that come meanwhile included. */
  readonly #runUrgent = (): void => {
    try {
      while (this.#urgentDone < this.#urgent.length) this.#urgent[this.#urgentDone++]!();
    } finally {
      if (this.#urgentDone === this.#urgent.length) {
        this.#urgent.length = 0;
        this.#urgentDone = 0;
      } else this.#platform.soon(this.#runUrgent); // one has thrown: the others run all the same
    }
  };

  /** Keeps the process alive until {@link unref} was called as often: something is open. */
  ref(): void {
    this.#holds++;
    if (this.#holds > 1 || this.#isClosed) return;
    this.#letGo = this.#platform.keepAlive();
    // A deadline that was left to a coarse timer may be polled for now.
    this.#arm();
  }

  /** Takes one {@link ref} back. */
  unref(): void {
    if (this.#holds === 0) return;
    this.#holds--;
    if (this.#holds > 0 || this.#letGo === null) return;
    this.#letGo();
    this.#letGo = null;
  }

  /** Whether something is open. */
  get isHeld(): boolean {
    return this.#holds > 0;
  }

  /** Stops: no timer fires and no task runs any more, and nothing keeps the process alive. */
  close(): void {
    this.#isClosed = true;
    this.#holds = 0;
    if (this.#letGo !== null) this.#letGo();
    this.#letGo = null;
    if (this.#armed !== null) this.#platform.clearTimeout(this.#armed);
    this.#armed = null;
    this.#armedForUs = NEVER;
    this.#tasks = [];
    this.#done = 0;
    this.#urgent.length = 0;
    this.#urgentDone = 0;
  }

  /** When `entry` is due. For {@link Timer.atUs}. */
  deadlineOf(entry: number): number {
    return this.#heap.atUs(entry);
  }

  /** Arms, moves or (NEVER) disarms `entry`. For {@link Timer.arm}. */
  setDeadline(entry: number, atUs: number): void {
    this.#heap.set(entry, atUs);
    // A platform timer that is armed too early finds out when it fires; one that is too late must be moved.
    if (atUs < this.#armedForUs) this.#arm();
  }

  /** Sees to it that {@link #wake} runs when the soonest deadline is due. */
  #arm(): void {
    const soonestUs = this.#heap.soonestUs;
    if (soonestUs === NEVER || this.#isPolling || this.#isClosed) return;
    const waitUs = soonestUs - this.nowUs();
    if (waitUs < POLL_BELOW_US && (this.#holds > 0 || waitUs <= 0)) {
      this.#isPolling = true;
      this.#platform.setImmediate(this.#poll);
      return;
    }
    if (this.#armedForUs <= soonestUs) return;
    if (this.#armed !== null) this.#platform.clearTimeout(this.#armed);
    this.#armedForUs = soonestUs;
    this.#armed = this.#platform.setTimeout(this.#wake, Math.min(TIMER_MS_MAX, Math.max(1, Math.ceil(waitUs / 1000))));
  }

  readonly #wake = (): void => {
    const lateUs = this.nowUs() - this.#armedForUs;
    this.#armed = null;
    this.#armedForUs = NEVER;
    if (lateUs < STALLED_US || this.#isClosed) {
      this.#fireDue();
      return;
    }
    // What arrived while the process stood still is read first: it may have come long before the deadline (an ACK before its RTO).
    if (this.#isPolling) return;
    this.#isPolling = true;
    this.#platform.setImmediate(this.#poll);
  };

  readonly #poll = (): void => {
    this.#isPolling = false;
    this.#fireDue();
  };

  #fireDue(): void {
    if (this.#isClosed) return;
    const nowUs = this.nowUs();
    try {
      for (let entry = this.#heap.takeDue(nowUs); entry >= 0; entry = this.#heap.takeDue(nowUs)) {
        this.#timers[entry]!.onDue(nowUs);
      }
    } finally {
      this.#arm();
    }
  }

  #drainSoon(): void {
    if (this.#isDrainComing) return;
    this.#isDrainComing = true;
    if (!this.#isTurnMarked) {
      this.#isTurnMarked = true;
      this.#platform.setImmediate(this.#endTurn);
    }
    if (this.#burstSinceUs !== NEVER && this.nowUs() - this.#burstSinceUs >= BURST_US) return;
    this.#platform.soon(this.#drainNow);
  }

  /** The event loop has had its turn: what waited for that goes on. */
  readonly #endTurn = (): void => {
    this.#isTurnMarked = false;
    this.#burstSinceUs = NEVER;
    if (this.#isDrainComing) this.#drainNow();
  };

  readonly #drainNow = (): void => {
    // The turn's end may have come before the tick that was asked for.
    if (!this.#isDrainComing || this.#isDraining) return;
    this.#isDrainComing = false;
    this.#isDraining = true;
    const tasks = this.#tasks;
    const end = tasks.length;
    const sinceUs = this.nowUs();
    if (this.#burstSinceUs === NEVER) this.#burstSinceUs = sinceUs;
    try {
      // Tasks deferred meanwhile wait for the next drain, so that the program's own ticks come between.
      let untilLook = TASKS_PER_LOOK;
      while (this.#done < end && this.#tasks === tasks) {
        const task = tasks[this.#done]!;
        this.#done++;
        task();
        if (this.#urgent.length > 0) this.#runUrgent();
        if (--untilLook > 0) continue;
        untilLook = TASKS_PER_LOOK;
        if (this.nowUs() - this.#burstSinceUs >= BURST_US) break;
      }
    } finally {
      this.#isDraining = false;
      this.#forgetDone();
      if (this.#tasks.length > this.#done) this.#drainSoon();
    }
  };

  /** Drops the tasks that have run, all at once or, when many wait behind them, in long strides. */
  #forgetDone(): void {
    if (this.#done === this.#tasks.length) {
      this.#tasks.length = 0;
      this.#done = 0;
    } else if (this.#done >= 1024) {
      this.#tasks.splice(0, this.#done);
      this.#done = 0;
    }
  }
}

/** Strong random numbers, fetched 1 KiB at a time. */
class StrongRandom implements RandomSource {
  readonly #platform: Platform;
  readonly #words = new Uint32Array(256);
  #used = 256;

  constructor(platform: Platform) {
    this.#platform = platform;
  }

  nextUint32(): number {
    if (this.#used === this.#words.length) {
      this.#platform.randomFill(new Uint8Array(this.#words.buffer));
      this.#used = 0;
    }
    const word = this.#words[this.#used]!;
    // Handed out once: a number that was a secret is not kept.
    this.#words[this.#used++] = 0;
    return word;
  }

  fill(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; at += 65536) this.#platform.randomFill(bytes.subarray(at, at + 65536));
  }
}

/** The part of the global scope that may be there or not. */
interface Globals {
  readonly setImmediate?: (task: () => void) => unknown;
  readonly process?: { readonly nextTick?: (task: () => void) => void };
}

/** The platform this runs on: Node, or a page or worker. */
export function systemPlatform(): Platform {
  const globals = globalThis as unknown as Globals;
  const isPage = globals.setImmediate === undefined;
  const immediate = isPage ? channelImmediate() : (task: () => void) => void globals.setImmediate!(task);
  return {
    nowMs: () => performance.now(),
    ...(isPage ? pageTimers(immediate) : NODE_TIMERS),
    setImmediate: immediate,
    soon: soonFunction(globals.process?.nextTick),
    keepAlive: () => {
      const timer = setInterval(() => {}, TIMER_MS_MAX);
      return () => clearInterval(timer);
    },
    randomFill: (bytes) => void crypto.getRandomValues(bytes as Uint8Array<ArrayBuffer>),
  };
}

type Timers = Pick<Platform, 'setTimeout' | 'clearTimeout'>;

const NODE_TIMERS: Timers = {
  setTimeout: (task, ms) => unreferenced(setTimeout(task, ms)),
  clearTimeout: (handle) => clearTimeout(handle as ReturnType<typeof setTimeout>),
};

/** A timer of a page. */
interface PageTimer {
  id: unknown;
  isOff: boolean;
}

/**
 * A page's timers. One that is set by a timer's task, which was set by one and so on, waits 4 ms at least (HTML, timer nesting
 * level): so the tasks run one message later, where they are nobody's and a millisecond is one.
 */
function pageTimers(immediate: (task: () => void) => void): Timers {
  return {
    setTimeout: (task, ms) => {
      const timer: PageTimer = { id: null, isOff: false };
      const run = (): void => {
        if (!timer.isOff) task();
      };
      timer.id = setTimeout(() => immediate(run), ms);
      return timer;
    },
    clearTimeout: (handle) => {
      const timer = handle as PageTimer;
      timer.isOff = true;
      clearTimeout(timer.id as ReturnType<typeof setTimeout>);
    },
  };
}

/** Node's timers keep the process alive unless told not to; a page's are numbers. */
function unreferenced(handle: unknown): unknown {
  const timer = handle as { unref?: () => void } | number;
  if (typeof timer === 'object') timer.unref?.();
  return handle;
}

/**
 * Ticks and microtasks by turns where there are both: whichever queue is being worked off, the other one gets its chance
 * before we do again, so that neither `process.nextTick` nor promises of the program wait for the end of a burst.
 */
function soonFunction(nextTick: ((task: () => void) => void) | undefined): (task: () => void) => void {
  if (nextTick === undefined) return (task) => queueMicrotask(task);
  let isTick = false;
  return (task) => {
    isTick = !isTick;
    if (isTick) nextTick(task);
    else queueMicrotask(task);
  };
}

/** The event loop's next turn by way of a message channel, for pages: their timers wait 4 ms. One message a task. */
function channelImmediate(): (task: () => void) => void {
  const channel = new MessageChannel();
  const tasks: (() => void)[] = [];
  const port = channel.port1 as unknown as { onmessage: () => void };
  port.onmessage = () => tasks.shift()?.();
  return (task) => {
    tasks.push(task);
    channel.port2.postMessage(null);
  };
}
