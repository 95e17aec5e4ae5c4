/** A device with several queues, made of any link: each queue is a link of its own, and what arrives is spread over them. */
import type { Link, LinkReceiver } from '../../src/link/link.ts';
import { PairedAdapter } from '../../src/target/worker/paired-adapter.ts';
import { SpreadAdapter } from '../../src/target/worker/spread-adapter.ts';
import type { WorkerAdapterOptions } from '../../src/target/worker/worker-adapter.ts';

/** `choose`: the queue of a frame that arrives. */
export function queuesOf(
  link: Link,
  count: number,
  choose: (bytes: Uint8Array, at: number, length: number) => number,
): Link[] {
  const receivers: LinkReceiver[] = [];
  const each = (act: (receiver: LinkReceiver) => void): void => receivers.forEach(act);
  const all: LinkReceiver = {
    receive: (bytes, at, length, segmentBytes) =>
      receivers[choose(bytes, at, length)]!.receive(bytes, at, length, segmentBytes),
    receiveDone: () => each((one) => one.receiveDone()),
    linkState: (isUp) => each((one) => one.linkState(isUp)),
    mtuChanged: (mtu) => each((one) => one.mtuChanged?.(mtu)),
    writable: () => each((one) => one.writable()),
  };
  return Array.from({ length: count }, (): Link => {
    const queue: Link = {
      name: link.name,
      medium: link.medium,
      mtu: link.mtu,
      ...(link.macAddress === undefined ? {} : { macAddress: link.macAddress }),
      largeSendBytes: link.largeSendBytes ?? 0,
      takesGather: link.takesGather ?? false,
      start: (receiver) => {
        receivers.push(receiver);
        if (receivers.length === count) link.start(all);
      },
      transmit: (...given) => link.transmit(...given),
      close: () => (receivers.length > 0 && receivers.splice(0).length > 0 ? link.close() : undefined),
    };
    return queue;
  });
}

/** Several NIC halves in one thread behind one adapter; `choose` as above. */
export function spread(
  options: WorkerAdapterOptions,
  count: number,
  choose: (bytes: Uint8Array, at: number, length: number) => number,
): SpreadAdapter {
  const { link, runtime } = options;
  const macAddress =
    options.macAddress ?? link.macAddress ?? Uint8Array.of(2, 0, 0, 0, 0, runtime.random.nextUint32() & 255);
  const queues = queuesOf(link, count, choose);
  return new SpreadAdapter(
    queues.map((queue) => new PairedAdapter({ ...options, macAddress, link: queue })),
    link,
  );
}
