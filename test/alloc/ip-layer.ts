/**
 * Measures what the IP layer allocates per packet, in and out, in a process of its own.
 *
 * Run with the flags of test/support/child.ts. Answers with one line of JSON: bytes and nanoseconds a packet, by scenario.
 */
import { VirtualRuntime } from '../../src/base/virtual-runtime.ts';
import { IpLayer } from '../../src/host/path/ip-layer.ts';
import type { PathEntry, RxPacket, UpperProtocol } from '../../src/host/path/types.ts';
import {
  NDIS_RECEIVE_FLAGS_RESOURCES,
  type NdisBindingHandle,
  type NdisForProtocol,
  type ProtocolDriver,
} from '../../src/ndis/protocol.ts';
import { Mdl, NetBuffer, NetBufferList } from '../../src/state/net-buffer-list.ts';
import { Trace } from '../../src/trace/trace.ts';
import { parseIp } from '../../src/wire/ip-address.ts';
import { advertisement, arp, count, ethernet, ipv4, ipv6, OVERRIDE, SOLICITED } from '../host-path/frames.ts';
import { OUR_MAC, OUR4, OUR6, PEER_MAC, PEER4, PEER6 } from '../host-path/station.ts';
import { leastOf } from '../support/least.ts';

const PACKETS = 100_000;

const runtime = new VirtualRuntime(1);
const layer: IpLayer = new IpLayer(runtime, new Trace(), {
  openAdapterEx: (_driver, _context, adapterName) => ({ adapterName }),
  adapterAttributes: () => ({ name: 'eth0', medium: 'ethernet', mtu: 1500, macAddress: OUR_MAC }),
  sendNetBufferLists: (_binding: NdisBindingHandle, lists: NetBufferList) => layer.sendComplete(lists),
} as Partial<NdisForProtocol> as NdisForProtocol);

let taken = 0;
let isAnswering = false;

class Answerer implements UpperProtocol {
  receive(rx: RxPacket): boolean {
    taken++;
    if (isAnswering) {
      const path = layer.routeBack(rx);
      if (typeof path !== 'string') send(path);
    }
    return true;
  }
  receiveDone(): void {}
  icmpError(): boolean {
    return true;
  }
  pathMtuChanged(): void {}
  addressLost(): void {}
}

layer.setUpper(6, new Answerer());
const iface = layer.attach({} as ProtocolDriver, null, 'eth0', {
  addresses: [`${OUR4}/24`, `${OUR6}/64`],
  acceptRouterAdvertisements: false,
  linkLocal: false,
  duplicateAddressDetection: 'off',
});

function send(path: PathEntry): void {
  const out = layer.beginPacket(path)!;
  layer.sendPacket(out, 1460, 6, 64, 0, 0, true);
}

function listOver(frame: Uint8Array): NetBufferList {
  return new NetBufferList(new NetBuffer(new Mdl(frame, 0, frame.length), frame.length));
}

function receive(list: NetBufferList): void {
  layer.receiveNetBufferLists(iface, list, NDIS_RECEIVE_FLAGS_RESOURCES);
}

const path4 = layer.routeTo(parseIp(PEER4)!, null) as PathEntry;
const path6 = layer.routeTo(parseIp(PEER6)!, null) as PathEntry;
const loop = layer.routeTo(parseIp('127.0.0.1')!, null) as PathEntry;
const in4 = listOver(ethernet(0x0800, ipv4({ src: PEER4, dst: OUR4, protocol: 6 }, count(0, 1460))));
const in6 = listOver(ethernet(0x86dd, ipv6({ src: PEER6, dst: OUR6, next: 6 }, count(0, 1440))));

interface Result {
  readonly bytesPerPacket: number;
  readonly nsPerPacket: number;
}

function measure(step: (i: number) => void): Result {
  return leastOf(
    () => measureOnce(step),
    (result) => result.bytesPerPacket,
  );
}

function measureOnce(step: (i: number) => void): Result {
  for (let i = 0; i < PACKETS; i++) step(i);
  gc!();
  const before = process.memoryUsage().heapUsed;
  const start = process.cpuUsage();
  for (let i = 0; i < PACKETS; i++) step(i);
  const { user, system } = process.cpuUsage(start);
  return {
    bytesPerPacket: (process.memoryUsage().heapUsed - before) / PACKETS,
    nsPerPacket: (1000 * (user + system)) / PACKETS,
  };
}

// The neighbors answer once; the clock stands still afterwards, so they stay reachable.
send(path4);
send(path6);
receive(listOver(arp(2, PEER_MAC, PEER4, OUR_MAC, OUR4, OUR_MAC)));
receive(listOver(advertisement(PEER6, OUR6, PEER6, SOLICITED | OVERRIDE)));

const garbage: unknown[] = [null];
const results: Record<string, Result> = {
  send4: measure(() => send(path4)),
  send6: measure(() => send(path6)),
  receive4: measure(() => receive(in4)),
  receive6: measure(() => receive(in6)),
};
isAnswering = true;
results['answer4'] = measure(() => receive(in4));
results['answer6'] = measure(() => receive(in6));
isAnswering = false;
results['loopback'] = measure((i) => {
  send(loop);
  // The turn of a hundred packets: the deferred task of each turn is the runtime's.
  if (i % 100 === 0) runtime.settle();
});
results['confirm'] = measure((i) => path4.confirmReachable(i));
results['control'] = measure((i) => {
  garbage[0] = { i, taken };
});
console.log(JSON.stringify({ results, taken, held: layer.held().packets }));
