/**
 * A wire with loss and delay in front of a link that has none: a wire in memory, whose far end hands every frame on.
 *
 * Not needed where the network itself is bad; here it is what makes the transfer worth watching.
 */
import { type Link, type MemoryLink, memoryLinkPair, type Runtime, Trace } from 'chimney';

export interface LossyWire {
  /** The end for the stack. */
  readonly link: Link;
  /** Frames that the wire has lost so far, both directions. */
  readonly framesLost: () => number;
}

/** Puts such a wire between a stack and `beyond`. */
export function lossyWire(runtime: Runtime, beyond: Link, loss: number, delayUs: number): LossyWire {
  const trace = new Trace();
  const { a, b } = memoryLinkPair({
    runtime,
    trace,
    impairment: { loss, delayUs },
    seed: Math.random(),
    mtu: beyond.mtu,
  });
  // What the next one has no room for is lost, as at a switch.
  const handOn = (from: Link, to: Link): void =>
    from.start({
      receive: (bytes, at, length) => void to.transmit(bytes, at, length),
      receiveDone: () => {},
      linkState: (isUp) => {
        if (from === beyond) (b as MemoryLink).setUp(isUp);
      },
      writable: () => {},
    });
  handOn(b, beyond);
  handOn(beyond, b);
  const link: Link = {
    name: a.name,
    medium: a.medium,
    mtu: a.mtu,
    start: (receiver) => a.start(receiver),
    transmit: (bytes, at, length) => a.transmit(bytes, at, length),
    close: async () => {
      a.close();
      // What is on its way arrives before the far end goes.
      await new Promise((resolve) => setTimeout(resolve, delayUs / 1000 + 50));
      await beyond.close();
    },
  };
  return { link, framesLost: () => trace.counters().LINK_FRAME_LOST ?? 0 };
}
