/**
 * A NIC thread: owns a device, runs the NIC half and never goes back to its event loop.
 *
 * Each round: drain the device, do what the driver half says, run what is due, publish once and ring at most once; when there was
 * nothing to do, wait for the device and the bell, never longer than {@link WAIT_MS_MAX}, so that neither a stop nor the end of
 * the process waits long. Promises: a sign of life each round; a word that tells whether its records are whole.
 */

import { readlinkSync } from 'node:fs';
import { workerData } from 'node:worker_threads';
import { NEVER } from '../../base/runtime.ts';
import type { DeviceDescription } from '../../link/node/device.ts';
import { EVENT_NAMES } from '../../trace/events.ts';
import { Trace } from '../../trace/trace.ts';
import { Arena, type ArenaSizes, ControlWord, Expected, expectedOf } from './arena.ts';
import { failAsThread } from './failing.ts';
import { LentMemory } from './lent-memory.ts';
import { LoopRuntime } from './loop-runtime.ts';
import { type NicConfig, NicHalf } from './nic-half.ts';
import { NicLink } from './nic-link.ts';
import { sharedCopy } from './shared-copy.ts';

/** What a NIC thread is given. */
export interface NicThreadData {
  readonly buffer: SharedArrayBuffer;
  readonly sizes: ArenaSizes;
  /** Memory that sockets write into; null: there is none. */
  readonly lent: SharedArrayBuffer | null;
  readonly config: NicConfig;
  readonly device: DeviceDescription;
  readonly wakeFd: number;
  readonly timeOrigin: number;
  /** How long it looks for something to do before it waits, µs. 0: not at all. */
  readonly spinUs: number;
  /** It comes after one that has died: whether the link is up is not known. */
  readonly isRestart: boolean;
}

/** Frames read before the driver half gets its turn. */
const BATCH_FRAMES = 64;
/** Longest wait, milliseconds. */
const WAIT_MS_MAX = 100;
/** How long the driver half is left asleep over what only makes room, µs; also the shortest timed wait, 1 ms. */
const LAZY_US = 1000;
/** How long nothing else is done while an operation is expected, µs. */
const EXPECT_US = 1000;
/** How long one that is near but late is expected beside other work, µs, and frames read at a time then: it comes at any moment. */
const LATE_US = 5000;
const LATE_FRAMES = 1;
/** Rehearsals before the first connection comes, for the compiler. */
const REHEARSALS = 300;
/** How often counters are told, µs. */
const COUNT_EVERY_US = 50_000;

class NicThread {
  readonly #control: Int32Array;
  readonly #runtime: LoopRuntime;
  readonly #trace: Trace = new Trace();
  readonly #link: NicLink;
  readonly #nic: NicHalf;
  readonly #spinUs: number;
  readonly #counts: Float64Array = new Float64Array(EVENT_NAMES.length);
  #countedAtUs = 0;
  /** The operation that the driver half has told of, since when, and whether it was rehearsed. */
  #expected = 0;
  #expectedSinceUs = NEVER;
  #isRehearsed = true;
  /** Since when something is published for which the driver half was not woken. */
  #lazySinceUs = NEVER;

  constructor(data: NicThreadData) {
    const { buffer, lent } = data;
    const copy = sharedCopy(buffer, lent);
    const arena = new Arena(buffer, data.sizes, true, copy, lent === null ? null : new LentMemory(lent));
    this.#control = arena.control;
    this.#runtime = new LoopRuntime(data.timeOrigin);
    this.#link = new NicLink(data, arena.control);
    this.#spinUs = data.spinUs;
    this.#nic = new NicHalf({
      arena,
      config: data.config,
      link: this.#link,
      runtime: this.#runtime,
      trace: this.#trace,
      onDirty: () => {},
      fail: failAsThread,
    });
  }

  run(): void {
    // '<process>/task/<thread>'.
    Atomics.store(this.#control, ControlWord.THREAD, Number(readlinkSync('/proc/thread-self').split('/').at(-1)));
    this.#nic.start();
    for (let i = 0; i < REHEARSALS; i++) this.#nic.rehearse(false);
    let idleSinceUs = NEVER;
    while (Atomics.load(this.#control, ControlWord.STOP) === 0) {
      Atomics.add(this.#control, ControlWord.HEARTBEAT, 1);
      if (this.#round()) {
        idleSinceUs = NEVER;
        continue;
      }
      if (this.#expectedForUs() < LATE_US) continue;
      if (this.#spinUs > 0) {
        const nowUs = this.#runtime.nowUs();
        if (idleSinceUs === NEVER) idleSinceUs = nowUs;
        if (nowUs - idleSinceUs < this.#spinUs) continue;
      }
      this.#sleep();
    }
    this.#stop();
  }

  /** Answers whether there was something to do. */
  #round(): boolean {
    const control = this.#control;
    Atomics.store(control, ControlWord.AT_REST, 0);
    const frames = this.#drain();
    // Whatever happens to this thread next, what these frames brought is told.
    if (frames > 0) this.#publish();
    const hasPolled = this.#nic.poll();
    // Operations before all else, and told before anything else is done: connections stand still meanwhile.
    if (this.#runtime.runUrgent() > 0 && this.#nic.hasAnswered) this.#publish();
    const hasRun = this.#runtime.runTasks();
    const hasFired = this.#runtime.fireTimers() && (this.#runtime.runTasks() || true);
    this.#publish();
    if (!this.#isRehearsed) this.#rehearse();
    if (!this.#nic.isWaiting && !this.#runtime.hasTask) Atomics.store(control, ControlWord.AT_REST, 1);
    return frames > 0 || hasPolled || hasRun || hasFired;
  }

  /** Reads frames, unless an operation is about to come; answers how many. */
  #drain(): number {
    const expectedForUs = this.#expectedForUs();
    if (expectedForUs < EXPECT_US) return 0;
    return this.#link.drain(expectedForUs < LATE_US ? LATE_FRAMES : BATCH_FRAMES);
  }

  /** For how long the driver half has been about to say an operation; {@link NEVER}: it is not. */
  #expectedForUs(): number {
    const told = Atomics.load(this.#control, ControlWord.EXPECTED);
    if (told === 0) return NEVER;
    const nowUs = this.#runtime.nowUs();
    if (told !== this.#expected) {
      this.#expected = told;
      this.#expectedSinceUs = nowUs;
      this.#isRehearsed = false;
    }
    return nowUs - this.#expectedSinceUs;
  }

  /** What is expected is gone through once, unless it has come. */
  #rehearse(): void {
    this.#isRehearsed = true;
    const told = Atomics.load(this.#control, ControlWord.EXPECTED);
    if (told === 0) return;
    this.#nic.rehearse(expectedOf(told) === Expected.NEAR);
    this.#publish();
  }

  /** Once a round, and a bell only where somebody sleeps. */
  #publish(): void {
    this.#nic.publish();
    const control = this.#control;
    if (!this.#nic.hasSpoken && !this.#isLate()) return;
    if (Atomics.load(control, ControlWord.DRIVER_ASLEEP) === 0) return;
    if (Atomics.exchange(control, ControlWord.DRIVER_ASLEEP, 0) === 1) {
      Atomics.notify(control, ControlWord.DRIVER_ASLEEP, 1);
    }
  }

  #isLate(): boolean {
    if (!this.#nic.isLazy) {
      this.#lazySinceUs = NEVER;
      return false;
    }
    const nowUs = this.#runtime.nowUs();
    if (this.#lazySinceUs === NEVER) this.#lazySinceUs = nowUs;
    if (nowUs - this.#lazySinceUs < LAZY_US) return false;
    this.#lazySinceUs = NEVER;
    this.#nic.rung();
    return true;
  }

  #sleep(): void {
    this.#tellCounts();
    const control = this.#control;
    Atomics.store(control, ControlWord.NIC_ASLEEP, 1);
    // Whoever published before it could see that has not rung.
    if (!this.#nic.hasInput) {
      Atomics.store(control, ControlWord.AT_REST, this.#nic.isWaiting ? 0 : 1);
      this.#link.wait(this.#waitMs());
      Atomics.store(control, ControlWord.AT_REST, 0);
    }
    Atomics.store(control, ControlWord.NIC_ASLEEP, 0);
  }

  #waitMs(): number {
    if (this.#nic.isWaiting || this.#nic.isLazy) return 1;
    const { soonestUs } = this.#runtime;
    if (soonestUs === NEVER) return WAIT_MS_MAX;
    const waitMs = Math.ceil((soonestUs - this.#runtime.nowUs()) / 1000);
    return Math.max(0, Math.min(WAIT_MS_MAX, waitMs));
  }

  /** Counters of the trace that have grown. */
  #tellCounts(): void {
    const nowUs = this.#runtime.nowUs();
    if (nowUs - this.#countedAtUs < COUNT_EVERY_US) return;
    this.#countedAtUs = nowUs;
    EVENT_NAMES.forEach((name, event) => {
      const count = this.#trace.countOf(name);
      const by = count - this.#counts[event]!;
      if (by === 0) return;
      this.#counts[event] = count;
      this.#nic.count(event, by);
    });
    this.#publish();
  }

  /** What was said last is still done. */
  #stop(): void {
    while (this.#nic.poll()) this.#runtime.runTasks();
    this.#runtime.runTasks();
    this.#countedAtUs = 0;
    this.#tellCounts();
    this.#publish();
    void this.#nic.adapter.haltEx(null);
  }
}

new NicThread(workerData as NicThreadData).run();
