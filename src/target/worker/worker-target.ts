/**
 * A device whose NIC is a thread of its own: what a stack is told of it, and the target that drives it.
 */

import type { ResourceLimits } from 'node:worker_threads';
import type { CopyBytes } from '../../base/copy-bytes.ts';
import { OptionError } from '../../base/options.ts';
import type { SendMemory } from '../../base/send-memory.ts';
import type { Link, LinkReceiver } from '../../link/link.ts';
import { DescribedDevice } from '../../link/node/described-device.ts';
import type { DeviceDescription } from '../../link/node/device.ts';
import { ofVlan } from '../../link/node/vlan-filter.ts';
import { attributesOf } from '../plain/attributes.ts';
import { Arena, arenaBytes } from './arena.ts';
import { LENT_BYTES, LentMemory } from './lent-memory.ts';
import { sharedCopy, systemCopy } from './shared-copy.ts';
import { SpreadAdapter } from './spread-adapter.ts';
import { ThreadPort } from './thread-port.ts';
import { WorkerAdapter, type WorkerAdapterOptions } from './worker-adapter.ts';
import { checkWorkerOptions } from './worker-options.ts';

/** What a user can say about a NIC thread. */
export interface WorkerTargetOptions
  extends Omit<WorkerAdapterOptions, 'link' | 'runtime' | 'trace' | 'name' | 'packetTap'> {
  /**
   * How long the thread looks for something to do before it waits, µs. 0, the default: not at all. Lower latency, a processor
   * fully busy.
   */
  readonly spinUs?: number;
  /**
   * What memory the thread's heap may have, in the words of `node:worker_threads`; rings, pools and records are not in it. A thread that
   * needs more dies. Default: what Node gives a worker.
   */
  readonly resourceLimits?: ResourceLimits;
  /**
   * Shared memory that sockets of the stack write into and from which the thread sends, bytes: what finds no room in it, or does not come
   * through `stack.net`, is copied once more. 0 to 2^31; default 32 MiB, used as it is needed.
   */
  readonly socketBytes?: number;
}

/** What a target is made from, as `createStack` gives it. */
export type WorkerEnvironment = Pick<WorkerAdapterOptions, 'link' | 'runtime' | 'trace' | 'name' | 'packetTap'>;

/** What an entry of `createStack`'s links takes of it. */
export interface WorkerEntry<T> {
  readonly link: Link;
  readonly target: (environment: WorkerEnvironment) => T;
  readonly copy: CopyBytes;
  readonly sendMemory: SendMemory;
}

/**
 * The link and the target of an entry of `createStack`'s links: `links: [{ ...workerTarget(openTun(...)[0]), addresses }]`. The
 * device is the thread's until the stack is closed, and closed with it.
 */
export function workerTarget(device: DeviceDescription, options: WorkerTargetOptions = {}): WorkerEntry<ThreadAdapter> {
  checkWorkerOptions('workerTarget', 'device', device, options);
  const link = new DescribedLink([device]);
  const lent = lentMemory(options);
  return {
    link,
    copy: systemCopy,
    sendMemory: lent,
    target: (environment) => new ThreadAdapter(link.queues[0]!, { ...options, ...environment, lent }),
  };
}

/**
 * The same for several queues of one device (`openTun(options, queues)`), each with a thread of its own: flows are spread over them.
 */
export function spreadTarget(
  queues: readonly DeviceDescription[],
  options: WorkerTargetOptions = {},
): WorkerEntry<SpreadAdapter> {
  const words = 'an array of the queues of a device, as openTun(options, queues) answers it';
  const first = Array.isArray(queues) ? (queues as readonly DeviceDescription[])[0] : undefined;
  if (first === undefined) throw new OptionError('spreadTarget', 'queues', words, queues);
  queues.forEach((queue, i) => {
    checkWorkerOptions('spreadTarget', `queues[${i}]`, queue, options);
  });
  const link = new DescribedLink(queues);
  const lent = lentMemory(options);
  return {
    link,
    copy: systemCopy,
    sendMemory: lent,
    target: (environment) => {
      const all = { ...options, ...environment, lent };
      // One adapter, one address.
      const { macAddress } = attributesOf(all);
      const own = first.medium === 'ethernet' ? { ...all, macAddress } : all;
      return new SpreadAdapter(
        link.queues.map((queue) => new ThreadAdapter(queue, own)),
        environment.link,
      );
    },
  };
}

function lentMemory({ socketBytes = LENT_BYTES }: WorkerTargetOptions): LentMemory {
  return new LentMemory(new SharedArrayBuffer(socketBytes));
}

/** As long as a segment on its way would wake it anyway. */
const LAZY_US = 500;

type ThreadOptions = WorkerAdapterOptions & WorkerTargetOptions & { readonly lent?: LentMemory };

/** The worker target with its worker. */
export class ThreadAdapter extends WorkerAdapter {
  constructor(device: DeviceDescription, options: ThreadOptions) {
    super(
      { lazyUs: LAZY_US, ...options },
      (sizes) => {
        const buffer = new SharedArrayBuffer(arenaBytes(sizes));
        const { lent = null } = options;
        return new Arena(buffer, sizes, true, sharedCopy(buffer, lent?.buffer ?? null), lent);
      },
      ({ arena, config, isRestart, allowanceUs, onDeath }) => {
        const port: ThreadPort = new ThreadPort({
          arena,
          config,
          device,
          runtime: options.runtime,
          spinUs: options.spinUs ?? 0,
          resourceLimits: options.resourceLimits,
          isRestart,
          allowanceUs,
          onDeath: (death) => onDeath(death, () => port.takeOver()),
        });
        return port;
      },
    );
  }

  /** For tests: the thread in use. */
  get port(): ThreadPort {
    return this.driver.port as ThreadPort;
  }
}

/** A device that is told of and used by somebody else. */
class DescribedLink extends DescribedDevice implements Link {
  /** Its queues, as whoever uses them is to know them. */
  queues: readonly DeviceDescription[];

  constructor(queues: readonly DeviceDescription[]) {
    super(queues[0]!);
    this.queues = queues;
  }

  setVlan(vlanId: number): void {
    this.queues = this.queues.map((queue) => ofVlan(queue, vlanId));
  }

  start(_receiver: LinkReceiver): void {
    throw new Error(`the device ${this.name} belongs to a NIC thread: give the link its target, too`);
  }

  transmit(): boolean {
    return true;
  }

  close(): void {}
}
