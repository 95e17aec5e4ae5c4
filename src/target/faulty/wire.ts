/** Faults that show on the wire: what is in the frames of a target, which it sends or not, and which it should have handed up. */

import { forEachBlock, NdisStatus, TcpDisconnectFlag, TcpOffloadEventType } from '../../ndis/miniport.ts';
import { copyFromNetBuffer, dataLengthOf, type NetBufferList } from '../../state/net-buffer-list.ts';
import { PathCachedState } from '../../state/path.ts';
import { TcpConstState } from '../../state/tcp.ts';
import { decodeEthernet, EthernetFrame, EtherType } from '../../wire/ethernet.ts';
import { writeIpv4Checksum } from '../../wire/ipv4.ts';
import { IpProtocol } from '../../wire/protocol.ts';
import { decodeTcp, encodeTcp, writeTcpChecksum } from '../../wire/tcp.ts';
import { TcpFlag, TcpSegment } from '../../wire/tcp-segment.ts';
import {
  account,
  alias,
  DATA,
  type Fault,
  fault,
  onDataEntry,
  onStateComplete,
  onStateEntry,
  type Shim,
  STATE,
} from './shim.ts';

const [INITIATE, TERMINATE, UPDATE, , INVALIDATE] = STATE;
const [, , DISCONNECT] = DATA;
const IP_AT = 14;
const TCP_AT = IP_AT + 20;
const FLAGS_AT = TCP_AT + 13;

/** Whether a frame is a TCP segment over IPv4 without a tag: what the faults change. */
function isSegment(frame: Uint8Array): boolean {
  const ethernet = new EthernetFrame();
  if (decodeEthernet(frame, 0, frame.length, ethernet) !== 0 || ethernet.tagged) return false;
  return ethernet.etherType === EtherType.IPV4 && frame[IP_AT + 9] === IpProtocol.TCP;
}

/** Makes the checksums right again. */
function summed(frame: Uint8Array): Uint8Array {
  writeIpv4Checksum(frame, IP_AT, 20);
  writeTcpChecksum(frame, TCP_AT, frame.length - TCP_AT, 4, IP_AT + 12, IP_AT + 16);
  return frame;
}

/** Changes every segment. */
function frames(rule: string, how: string, change: (frame: Uint8Array) => Uint8Array, ...others: string[]): Fault {
  return fault(
    rule,
    how,
    (shim) => {
      shim.wire = (frame) => [isSegment(frame) ? change(frame) : frame];
    },
    ...others,
  );
}

/** Changes some bytes of every segment. */
function bytes(rule: string, how: string, change: (frame: Uint8Array) => void): Fault {
  return frames(rule, how, (frame) => {
    const its = frame.slice();
    change(its);
    return summed(its);
  });
}

/** Puts options into every segment. */
function options(rule: string, how: string, change: (seg: TcpSegment) => void): Fault {
  return frames(rule, how, (frame) => {
    const seg = new TcpSegment();
    decodeTcp(frame, TCP_AT, frame.length - TCP_AT, seg);
    const text = frame.slice(seg.textAt, seg.textAt + seg.textLength);
    change(seg);
    const longer = new Uint8Array(TCP_AT + 60 + text.length);
    longer.set(frame.subarray(0, TCP_AT));
    const header = encodeTcp(longer, TCP_AT, seg);
    longer.set(text, TCP_AT + header);
    const total = TCP_AT + header + text.length;
    longer[IP_AT + 2] = (total - IP_AT) >> 8;
    longer[IP_AT + 3] = (total - IP_AT) & 255;
    return summed(longer.slice(0, total));
  });
}

/** Sends the last segment once more, with something changed. */
function again(shim: Shim, change: (frame: Uint8Array) => void): void {
  const frame = shim.lastFrame?.slice();
  if (frame === undefined || !isSegment(frame)) return;
  change(frame);
  shim.transmit(summed(frame));
}

/** Keeps the last segment. */
function remembers(shim: Shim): void {
  shim.wire = (frame) => [frame];
}

/** Keeps segments to itself. */
function swallows(rule: string, how: string, isMeant: (frame: Uint8Array) => boolean, ...others: string[]): Fault {
  return fault(
    rule,
    how,
    (shim) => {
      shim.wire = (frame) => (isSegment(frame) && isMeant(frame) ? [] : [frame]);
    },
    ...others,
  );
}

/** Keeps frames to itself that have to go up. */
function keepsFrames(rule: string, how: string, isMeant: (frame: Uint8Array) => boolean): Fault {
  return fault(rule, how, (shim) => {
    const former = shim.above.indicateReceiveNetBufferLists;
    shim.above.indicateReceiveNetBufferLists = (handle, lists, portNumber, flags) => {
      if (!isMeant(bytesOf(lists))) former(handle, lists, portNumber, flags);
    };
  });
}

function bytesOf(list: NetBufferList): Uint8Array {
  const its = new Uint8Array(dataLengthOf(list));
  if (list.firstNetBuffer !== null) copyFromNetBuffer(list.firstNetBuffer, 0, its.length, its, 0);
  return its;
}

/** Offloads with limits of its own. */
function stretches(rule: string, how: string, mtu: number, mss: number): Fault {
  return fault(rule, how, (shim) =>
    onStateEntry(shim, INITIATE, (root, former) => {
      forEachBlock(root, ({ cachedState, constState }) => {
        if (cachedState instanceof PathCachedState && mtu > 0) cachedState.pathMtu = mtu;
        if (constState instanceof TcpConstState && mss > 0) constState.remoteMss = mss;
      });
      former();
    }),
  );
}

const clearsDf = bytes('TCP-123', 'sends without DF', (frame) => {
  frame[IP_AT + 6] = frame[IP_AT + 6]! & ~0x40;
});
const wrongNeighbor = bytes('STATE-015', 'sends to another MAC than that of the neighbor', (frame) => {
  frame[5] = frame[5]! ^ 1;
});
const noReset = swallows(
  'DISC-014',
  'says SUCCESS of an abort without an RST',
  (frame) => (frame[FLAGS_AT]! & TcpFlag.RST) !== 0,
);
const noFin = fault('DISC-015', 'says SUCCESS of a graceful disconnect without a FIN', (shim) =>
  onDataEntry(shim, DISCONNECT, (list, former, flags) => {
    if (flags !== TcpDisconnectFlag.GRACEFUL_CLOSE || dataLengthOf(list) > 0) return former();
    shim.defer(() => {
      account(list, NdisStatus.SUCCESS, 0, 0);
      shim.above.tcpOffloadDisconnectComplete(shim.handle, list);
    });
    return NdisStatus.PENDING;
  }),
);
const sendsInvalid = fault('INV-006', 'sends data of a connection that was invalidated', (shim) => {
  let last: Uint8Array | null = null;
  shim.wire = (frame) => {
    if (isSegment(frame) && frame.length > TCP_AT + 20) last = frame.slice();
    return [frame];
  };
  onStateComplete(shim, INVALIDATE, (_root, former) => {
    former();
    if (last !== null) shim.transmit(last);
  });
});
const noFragments = keepsFrames('TCP-072', 'keeps fragments to itself', (frame) => (frame[IP_AT + 6]! & 0x20) !== 0);

export const WIRE_FAULTS: readonly Fault[] = [
  clearsDf,
  alias('SEND-043', clearsDf),
  bytes('SEND-040', "sends with the host's identifications", (frame) => {
    frame[IP_AT + 4] = frame[IP_AT + 4]! & 0x7f;
  }),
  bytes('SEND-039', 'sends fragments', (frame) => {
    frame[IP_AT + 6] = 0x60;
  }),
  bytes('STATE-009', 'sends from another MAC than that of the interface', (frame) => {
    frame[11] = frame[11]! ^ 1;
  }),
  wrongNeighbor,
  alias('TCP-124', wrongNeighbor),
  alias('TREE-049', wrongNeighbor),
  fault('UPD-027', 'goes on sending to the neighbor from which a path was moved', (shim) => {
    let former: Uint8Array | null = null;
    let hasMoved = false;
    shim.wire = (frame) => {
      if (!isSegment(frame)) return [frame];
      former ??= frame.slice(0, 6);
      const its = frame.slice();
      if (hasMoved) its.set(former);
      return [its];
    };
    onStateEntry(shim, UPDATE, (root, pass) => {
      hasMoved ||= root.dependentBlockList !== null && root.miniportOffloadContext !== null;
      // Without a segment so far: the one neighbor that the suite does not move to.
      if (hasMoved) former ??= Uint8Array.of(2, 0, 0, 0, 0, 0x99);
      pass();
    });
  }),
  stretches('STATE-019', 'sends datagrams larger than the path takes', 1500, 0),
  stretches('STATE-027', 'sends segments larger than the peer takes', 0, 9000),
  options('STATE-022', 'sends timestamps where the flag is cleared', (seg) => {
    seg.hasTimestamps = true;
  }),
  options('STATE-023', 'sends SACK blocks where the flag is cleared', (seg) => {
    seg.sackCount = 1;
    seg.sackEdges[0] = seg.ack + 10;
    seg.sackEdges[1] = seg.ack + 20;
  }),
  bytes('STATE-046', 'sends with a TTL of its own', (frame) => {
    frame[IP_AT + 8] = 5;
  }),
  bytes('STATE-047', 'sends with a type of service of its own', (frame) => {
    frame[IP_AT + 1] = 0x20;
  }),
  frames('VLAN-012', 'tags frames of no VLAN and no priority', (frame) => {
    const tagged = new Uint8Array(frame.length + 4);
    tagged.set(frame.subarray(0, 12));
    tagged.set([0x81, 0, 0, 0], 12);
    tagged.set(frame.subarray(12), 16);
    return tagged;
  }),
  bytes('DISC-007', 'sends an RST that nobody has asked for', (frame) => {
    frame[FLAGS_AT] = frame[FLAGS_AT]! | TcpFlag.RST;
  }),
  noReset,
  alias('DISC-006', noReset),
  noFin,
  alias('DISC-005', noFin),
  fault('TERM-002', 'closes what it is to hand back', (shim) => {
    remembers(shim);
    onStateComplete(shim, TERMINATE, (_root, former) => {
      again(shim, (frame) => {
        frame[FLAGS_AT] = frame[FLAGS_AT]! | TcpFlag.FIN;
      });
      former();
    });
  }),
  sendsInvalid,
  alias('INV-007', sendsInvalid),
  swallows('TERM-042', 'keeps acknowledgments back over a terminate', (frame) => {
    const seg = new TcpSegment();
    return decodeTcp(frame, TCP_AT, frame.length - TCP_AT, seg) === 0 && seg.textLength === 0;
  }),
  fault('TCP-082', 'acknowledges urgent data', (shim) => {
    remembers(shim);
    const former = shim.above.tcpOffloadEventHandler;
    shim.above.tcpOffloadEventHandler = (handle, type, information) => {
      if (type === TcpOffloadEventType.INDICATE_RETRIEVE) {
        again(shim, (frame) => {
          frame[TCP_AT + 11] = (frame[TCP_AT + 11]! + 5) & 255;
        });
      }
      former(handle, type, information);
    };
  }),
  noFragments,
  alias('TCP-073', noFragments),
  alias('TCP-074', noFragments),
  keepsFrames('TCP-075', 'keeps datagrams with options to itself', (frame) => frame[IP_AT] === 0x46),
  keepsFrames('TCP-076', 'keeps ICMP and ARP to itself', (frame) => {
    const isArp = frame[12] === 8 && frame[13] === 6;
    return isArp || frame[IP_AT + 9] === IpProtocol.ICMP;
  }),
];
