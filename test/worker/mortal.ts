/**
 * A worker target whose NIC half, in this thread and under virtual time, can die between any two of its tasks: what it has done and not
 * published is lost then, as with a thread that is ended. Its device lives on, and is read by whoever has begun to last.
 */
import type { Runtime, Timer } from '../../src/base/runtime.ts';
import type { Link, LinkReceiver } from '../../src/link/link.ts';
import { Arena, arenaBytes, ControlWord } from '../../src/target/worker/arena.ts';
import type { NicPort } from '../../src/target/worker/driver.ts';
import type { LentMemory } from '../../src/target/worker/lent-memory.ts';
import { NicHalf } from '../../src/target/worker/nic-half.ts';
import { DeathCause } from '../../src/target/worker/thread-port.ts';
import { type PortParts, WorkerAdapter, type WorkerAdapterOptions } from '../../src/target/worker/worker-adapter.ts';

const SIZES = {
  upBytes: 1 << 16,
  downBytes: 1 << 16,
  receiveBytes: 2 << 20,
  sendBytes: 2 << 20,
  stateBytes: 1 << 16,
};

export class MortalAdapter extends WorkerAdapter {
  readonly #device: SharedDevice;

  /** `lent`: memory that sockets write into. */
  constructor(options: WorkerAdapterOptions, lent: LentMemory | null = null) {
    const device = new SharedDevice(options.link);
    super(
      { ...options, sizes: { ...SIZES, ...options.sizes } },
      (sizes) => new Arena(new ArrayBuffer(arenaBytes(sizes)), sizes, true, null, lent),
      (parts) => new MortalPort(parts, device),
    );
    this.#device = device;
  }

  /** Bytes that were ever needed for copies of what the host sends. */
  get copiedBytes(): number {
    return this.driver.sendPool.byteLength;
  }

  /** Ends the NIC half: at once, or when it has done that many batches of frames more and has published nothing of the last. */
  kill(batches = 0): void {
    const { port } = this.driver;
    if (batches === 0) (port as MortalPort).die();
    else this.#device.onBatch = () => --batches === 0 && (port as MortalPort).die();
  }
}

/** A link that can be started again and again: whoever did so last receives. */
class SharedDevice {
  readonly link: Link;
  #receiver: LinkReceiver | null = null;
  #after: () => void = () => {};
  /** Called after each batch of frames. */
  onBatch: () => void = () => {};
  #isClosed = false;

  constructor(link: Link) {
    this.link = link;
  }

  /** For one user of it. `isAlive`: whether anything still leaves; `after`: called after each batch. */
  user(isAlive: () => boolean, after: () => void = () => {}): Link {
    const { link } = this;
    const { name, medium, mtu, macAddress, largeSendBytes, takesGather } = link;
    return {
      name,
      medium,
      mtu,
      ...(macAddress === undefined ? {} : { macAddress }),
      ...(largeSendBytes === undefined ? {} : { largeSendBytes }),
      ...(takesGather === undefined ? {} : { takesGather }),
      start: (receiver) => this.#start(receiver, after),
      transmit: (...given) => (isAlive() ? link.transmit(...given) : true),
      close: () => {
        if (this.#isClosed) return;
        this.#isClosed = true;
        return link.close();
      },
    };
  }

  #start(receiver: LinkReceiver, after: () => void): void {
    const isFirst = this.#receiver === null;
    this.#receiver = receiver;
    this.#after = after;
    if (!isFirst) return;
    this.link.start({
      receive: (bytes, at, length, segmentBytes) => this.#receiver!.receive(bytes, at, length, segmentBytes),
      receiveDone: () => {
        this.#receiver!.receiveDone();
        this.#after();
        this.onBatch();
      },
      linkState: (isUp) => this.#receiver!.linkState(isUp),
      mtuChanged: (mtu) => this.#receiver!.mtuChanged?.(mtu),
      writable: () => this.#receiver!.writable(),
    });
  }
}

/** A runtime whose tasks and timers do nothing any more once somebody is dead; `after`: each of them, as at the end of a thread's round. */
function mortal(runtime: Runtime, isAlive: () => boolean, after: () => void): Runtime {
  const whileAlive = (task: () => void) => (): void => {
    if (!isAlive()) return;
    task();
    after();
  };
  return {
    nowUs: () => runtime.nowUs(),
    timer: (onDue): Timer => {
      let atUs = 0;
      const due = whileAlive(() => onDue(atUs));
      return runtime.timer((nowUs) => {
        atUs = nowUs;
        due();
      });
    },
    defer: (task) => runtime.defer(whileAlive(task)),
    urgent: (task) => runtime.urgent(whileAlive(task)),
    random: runtime.random,
  };
}

class MortalPort implements NicPort {
  readonly #parts: PortParts;
  readonly #device: SharedDevice;
  readonly #runtime: Runtime;
  readonly #control: Int32Array;
  readonly #nic: NicHalf;
  #onBell: () => void = () => {};
  #onRoom: () => void = () => {};
  #isAlive = true;
  #isFlushComing = false;
  #isPollComing = false;

  constructor(parts: PortParts, device: SharedDevice) {
    const { arena, config, options } = parts;
    this.#parts = parts;
    this.#device = device;
    const isAlive = (): boolean => this.#isAlive;
    this.#runtime = mortal(options.runtime, isAlive, () => this.#flushSoon());
    this.#control = arena.control;
    this.#nic = new NicHalf({
      arena,
      config,
      link: device.user(isAlive, () => this.#flushSoon()),
      runtime: this.#runtime,
      trace: options.trace,
      onDirty: () => this.#flushSoon(),
    });
  }

  start(onBell: () => void, onRoom: () => void, onUp: () => void): void {
    this.#onBell = onBell;
    this.#onRoom = onRoom;
    Atomics.store(this.#control, ControlWord.NIC_ASLEEP, 1);
    this.#nic.start();
    const up = this.#runtime.timer(onUp);
    up.arm(this.#runtime.nowUs() + START_US);
  }

  die(): void {
    if (!this.#isAlive) return;
    this.#isAlive = false;
    const { runtime } = this.#parts.options;
    runtime.defer(() => {
      const link = this.#device.user(() => true);
      this.#parts.onDeath({ cause: DeathCause.ENDED, message: 'it was ended' }, () => ({
        link,
        release: () => Promise.resolve(),
      }));
    });
  }

  ring(): void {
    if (this.#isPollComing) return;
    this.#isPollComing = true;
    this.#runtime.defer(() => {
      this.#isPollComing = false;
      this.#poll();
    });
  }

  sleep(): void {}

  refresh(): void {
    if (this.#isAlive) this.#nic.publish();
  }

  close(): void | Promise<void> {
    if (!this.#isAlive) return;
    while (this.#nic.poll());
    this.#isAlive = false;
    return this.#nic.adapter.haltEx(null);
  }

  #poll(): void {
    this.#nic.poll();
    this.#onRoom();
    if (this.#nic.hasInput) {
      this.ring();
      return;
    }
    Atomics.store(this.#control, ControlWord.NIC_ASLEEP, 1);
    if (this.#nic.isWaiting) this.#flushSoon();
  }

  #flushSoon(): void {
    if (this.#isFlushComing) return;
    this.#isFlushComing = true;
    this.#parts.options.runtime.defer(() => {
      if (!this.#isAlive) return;
      this.#isFlushComing = false;
      this.#nic.publish();
      if (Atomics.exchange(this.#control, ControlWord.DRIVER_ASLEEP, 0) === 1) this.#onBell();
      if (this.#nic.isWaiting) this.#flushSoon();
    });
  }
}

/** How long a new NIC half takes to start, µs. */
export const START_US = 30_000;
