import { describe, expect, test } from 'vitest';
import { NdisStatus, ndisStatusName, OffloadBlock, OffloadStateType, Oid } from '../../src/ndis/protocol.ts';
import { netBufferListOver } from '../../src/state/net-buffer-list.ts';
import { TcpConnectionState } from '../../src/state/tcp.ts';
import { ascii, HostObject, World } from './support/world.ts';

function name(block: OffloadBlock): string {
  return ndisStatusName(block.status);
}

describe('initiate', () => {
  test('the entry stores and returns; the completion brings the same root back (INIT-001 to INIT-003, INIT-007)', () => {
    const w = new World();
    const [n, p, t] = [new HostObject(), new HostObject(), new HostObject()];
    const root = w.neighborBlock(n);
    root.dependentBlockList = w.pathBlock(p);
    root.dependentBlockList.dependentBlockList = w.tcpBlock(t);
    w.initiate(root);
    expect(w.host.completions).toEqual([]);
    expect(n.handle.miniportOffloadContext).toBeNull();
    w.settle();
    expect(w.host.completions).toEqual([{ kind: 'initiate', root }]);
    expect(w.host.completions[0]!.root).toBe(root);
    for (const block of [root, root.dependentBlockList, root.dependentBlockList.dependentBlockList]) {
      expect(name(block)).toBe('SUCCESS');
    }
    // INIT-035, CTX-014: a PVOID for each object.
    for (const object of [n, p, t]) expect(object.handle.miniportOffloadContext).not.toBeNull();
    expect(w.target.control.held()).toMatchObject({ tcpObjects: 1, pathObjects: 1, neighborObjects: 1 });
  });

  test('the worked partial example (INIT-026 to INIT-031, INIT-008 to INIT-012)', () => {
    const objects = { n1: new HostObject(), p1: new HostObject(), t1: new HostObject(), t2: new HostObject() };
    const more = { p2: new HostObject(), t3: new HostObject() };
    let t2: OffloadBlock | null = null;
    let p2: OffloadBlock | null = null;
    const asked: OffloadBlock[] = [];
    const w = new World({
      refuse: ({ block }) => {
        asked.push(block as OffloadBlock);
        if (block === t2) return NdisStatus.RESOURCES;
        return block === p2 ? NdisStatus.FAILURE : NdisStatus.SUCCESS;
      },
    });
    const n1 = w.neighborBlock(objects.n1);
    const p1 = w.pathBlock(objects.p1);
    const t1 = w.tcpBlock(objects.t1);
    t2 = w.tcpBlock(objects.t2, { localPort: 81, sendData: netBufferListOver(ascii('unsent')) });
    p2 = w.pathBlock(more.p2, { remote: 3 });
    const t3 = w.tcpBlock(more.t3, { localPort: 82 });
    n1.dependentBlockList = p1;
    p1.nextBlock = p2;
    p1.dependentBlockList = t1;
    t1.nextBlock = t2;
    p2.dependentBlockList = t3;
    const chain = t2.netBufferListChain!;
    chain.status = 77;
    w.initiate(n1);
    w.settle();
    expect([n1, p1, t1, t2, p2, t3].map(name)).toEqual([
      'OFFLOAD_PARTIAL_SUCCESS',
      'OFFLOAD_PARTIAL_SUCCESS',
      'SUCCESS',
      'RESOURCES',
      'FAILURE',
      'FAILURE',
    ]);
    expect(asked).toEqual([n1, p1, t1, t2, p2]); // TREE-011: depth first, T3 never attempted
    expect(objects.t2.handle.miniportOffloadContext).toBeNull(); // INIT-036
    expect(more.t3.handle.miniportOffloadContext).toBeNull();
    expect(chain.status).toBe(77); // INIT-032
    expect(w.host.sends).toEqual([]); // INIT-033
    expect(w.target.control.held()).toMatchObject({ tcpObjects: 1, pathObjects: 1, neighborObjects: 1, sends: 0 });
  });

  test('a path refused for want of resources does not stop its siblings (INIT-016, INIT-027, TREE-013)', () => {
    const w = new World({ capacity: { maxPathMtu: 1400 } });
    const n = w.neighborBlock(new HostObject());
    const p1 = w.pathBlock(new HostObject(), { pathMtu: 1500 });
    p1.dependentBlockList = w.tcpBlock(new HostObject());
    const p2 = w.pathBlock(new HostObject(), { remote: 3, pathMtu: 1400 });
    p2.dependentBlockList = w.tcpBlock(new HostObject());
    n.dependentBlockList = p1;
    p1.nextBlock = p2;
    w.initiate(n);
    w.settle();
    expect([n, p1, p1.dependentBlockList, p2, p2.dependentBlockList].map(name)).toEqual([
      'OFFLOAD_PARTIAL_SUCCESS',
      'OFFLOAD_PATH_MTU',
      'FAILURE',
      'SUCCESS',
      'SUCCESS',
    ]);
  });

  test('a root that fails ends the walk (INIT-029)', () => {
    const w = new World({ capacity: { neighborEntries: 0 } });
    const n1 = w.neighborBlock(new HostObject());
    n1.dependentBlockList = w.pathBlock(new HostObject());
    n1.nextBlock = w.neighborBlock(new HostObject());
    w.initiate(n1);
    w.settle();
    expect([n1, n1.dependentBlockList, n1.nextBlock].map(name)).toEqual([
      'OFFLOAD_NEIGHBOR_ENTRIES',
      'FAILURE',
      'FAILURE',
    ]);
  });

  test('linkers take dependents for objects that are here already (INIT-080 to INIT-083, TREE-021, TREE-022)', () => {
    const w = new World({ capacity: { tcpEntries: 2 } });
    const c = w.offload();
    const linkTo = (): { root: OffloadBlock; path: OffloadBlock } => {
      const root = new OffloadBlock(OffloadStateType.NEIGHBOR, c.neighbor.handle);
      root.dependentBlockList = new OffloadBlock(OffloadStateType.IP4, c.path.handle);
      return { root, path: root.dependentBlockList };
    };
    const one = linkTo();
    const t2 = w.tcpBlock(new HostObject(), { localPort: 81 });
    const t3 = w.tcpBlock(new HostObject(), { localPort: 82 });
    one.path.dependentBlockList = t2;
    t2.nextBlock = t3;
    w.initiate(one.root);
    w.settle();
    expect([one.root, one.path, t2, t3].map(name)).toEqual([
      'SUCCESS',
      'OFFLOAD_PARTIAL_SUCCESS',
      'SUCCESS',
      'OFFLOAD_TCP_ENTRIES',
    ]);
    const two = linkTo();
    two.path.dependentBlockList = w.tcpBlock(new HostObject(), { localPort: 83 });
    w.initiate(two.root);
    w.settle();
    expect([two.root, two.path, two.path.dependentBlockList].map(name)).toEqual([
      'FAILURE',
      'FAILURE',
      'OFFLOAD_TCP_ENTRIES',
    ]);
    expect(w.target.control.held()).toMatchObject({ tcpObjects: 2, pathObjects: 1, neighborObjects: 1 });
  });

  test('placeholders succeed, with children, failing children or none (INIT-084, INIT-085, TREE-016 to TREE-020)', () => {
    const w = new World();
    const c = w.offload();
    const root = new OffloadBlock(OffloadStateType.NEIGHBOR);
    const fork = new OffloadBlock(OffloadStateType.IP4);
    const link = new OffloadBlock(OffloadStateType.IP4, c.path.handle);
    link.dependentBlockList = w.tcpBlock(new HostObject(), { localPort: 81 });
    root.dependentBlockList = link;
    link.nextBlock = fork;
    const bad = w.tcpBlock(new HostObject(), { localPort: 80 });
    fork.dependentBlockList = bad;
    w.initiate(root);
    w.settle();
    expect([root, link, link.dependentBlockList, fork, bad].map(name)).toEqual([
      'SUCCESS',
      'SUCCESS',
      'SUCCESS',
      'SUCCESS',
      'FAILURE',
    ]);
    const lone = new OffloadBlock(OffloadStateType.NEIGHBOR);
    w.initiate(lone);
    w.settle();
    expect(name(lone)).toBe('SUCCESS');
  });

  test('a free-standing neighbor block is a tree too (INIT-006)', () => {
    const w = new World();
    const block = w.neighborBlock(new HostObject());
    w.initiate(block);
    w.settle();
    expect(name(block)).toBe('SUCCESS');
  });
});

describe('what cannot be taken, and why', () => {
  function statusOf(w: World, build: (root: OffloadBlock) => OffloadBlock): string {
    const root = w.neighborBlock(new HostObject());
    root.dependentBlockList = w.pathBlock(new HostObject());
    root.dependentBlockList.dependentBlockList = w.tcpBlock(new HostObject());
    const block = build(root);
    w.initiate(root);
    w.settle();
    return name(block);
  }
  const tcpOf = (root: OffloadBlock): OffloadBlock => root.dependentBlockList!.dependentBlockList!;

  test('no object slots (INIT-015 to INIT-017)', () => {
    expect(statusOf(new World({ capacity: { tcpEntries: 0 } }), tcpOf)).toBe('OFFLOAD_TCP_ENTRIES');
    expect(statusOf(new World({ capacity: { pathEntries: 0 } }), (root) => root.dependentBlockList!)).toBe(
      'OFFLOAD_PATH_ENTRIES',
    );
    expect(statusOf(new World({ capacity: { neighborEntries: 0 } }), (root) => root)).toBe('OFFLOAD_NEIGHBOR_ENTRIES');
  });

  test('a receive window too large (INIT-022)', () => {
    expect(statusOf(new World({ capacity: { maxRcvWindow: 65_535 } }), tcpOf)).toBe('OFFLOAD_TCP_RCV_WINDOW');
  });

  test('no receive buffers left (INIT-021)', () => {
    const w = new World({ receivePoolBytes: 32 * 1024 });
    const c = w.offload();
    for (let i = 0; i < 22; i++) c.receive(c.text(1_460));
    w.host.takeLog();
    const root = new OffloadBlock(OffloadStateType.IP4, c.path.handle);
    root.dependentBlockList = w.tcpBlock(new HostObject(), { localPort: 81 });
    const top = new OffloadBlock(OffloadStateType.NEIGHBOR, c.neighbor.handle);
    top.dependentBlockList = root;
    w.initiate(top);
    w.settle();
    expect(name(root.dependentBlockList)).toBe('OFFLOAD_TCP_RCV_BUFFER');
  });

  test('buffered data that does not fit (INIT-060)', () => {
    const w = new World({ receivePoolBytes: 32 * 1024 });
    const tcp = w.tcpBlock(new HostObject(), { buffered: netBufferListOver(new Uint8Array(40_000)) });
    expect(statusOf(w, (root) => (root.dependentBlockList!.dependentBlockList = tcp))).toBe('FAILURE');
  });

  test('a source MAC where none can be set, or no room for another (INIT-018, STATE-010)', () => {
    const other = new Uint8Array([2, 0, 0, 0, 7, 7]);
    const refused = new World({ allowSourceMac: false });
    const block = refused.neighborBlock(new HostObject(), { source: other });
    refused.initiate(block);
    refused.settle();
    expect(name(block)).toBe('OFFLOAD_HW_ADDRESS_ENTRIES');

    const w = new World({ capacity: { hwAddressEntries: 1 } });
    const blocks = [other, other, new Uint8Array([2, 0, 0, 0, 7, 8])].map((source) =>
      w.neighborBlock(new HostObject(), { source }),
    );
    for (const each of blocks) w.initiate(each);
    w.settle();
    expect(blocks.map(name)).toEqual(['SUCCESS', 'SUCCESS', 'OFFLOAD_HW_ADDRESS_ENTRIES']);
  });

  test('no room for another source IP address (INIT-019)', () => {
    const w = new World({ capacity: { ipAddressEntries: 1 } });
    const n = w.neighborBlock(new HostObject());
    const p1 = w.pathBlock(new HostObject());
    const p2 = w.pathBlock(new HostObject(), { remote: 3 });
    const p3 = w.pathBlock(new HostObject(), { local: 9 });
    n.dependentBlockList = p1;
    p1.nextBlock = p2;
    p2.nextBlock = p3;
    w.initiate(n);
    w.settle();
    expect([n, p1, p2, p3].map(name)).toEqual([
      'OFFLOAD_PARTIAL_SUCCESS',
      'SUCCESS',
      'SUCCESS',
      'OFFLOAD_IP_ADDRESS_ENTRIES',
    ]);
  });

  test('VLANs: zero and non-zero ones, those of the interface, resources and mismatch [VLAN-002, VLAN-006, VLAN-007, VLAN-008, VLAN-009, VLAN-010, VLAN-011]', () => {
    const status = (options: ConstructorParameters<typeof World>[0], ...ids: number[]): string[] => {
      const w = new World(options);
      const blocks = ids.map((vlanId) => w.neighborBlock(new HostObject(), { vlanId }));
      for (const block of blocks) w.initiate(block);
      w.settle();
      return blocks.map(name);
    };
    expect(status({}, 7, 0)).toEqual(['SUCCESS', 'SUCCESS']); // interface VLAN zero: VLAN-008
    expect(status({ vlanIds: [7] }, 0, 7, 8)).toEqual(['SUCCESS', 'SUCCESS', 'OFFLOAD_VLAN_MISMATCH']);
    expect(status({ capacity: { vlanEntries: 1 } }, 7, 7, 8)).toEqual(['SUCCESS', 'SUCCESS', 'OFFLOAD_VLAN_ENTRIES']);
  });

  test('a policy may refuse with a reason (INIT-020, INIT-024)', () => {
    for (const status of [NdisStatus.OFFLOAD_CONNECTION_REJECTED, NdisStatus.OFFLOAD_TCP_XMIT_BUFFER]) {
      const w = new World({ refuse: ({ layer }) => (layer === 'tcp' ? status : NdisStatus.SUCCESS) });
      expect(statusOf(w, tcpOf)).toBe(ndisStatusName(status));
    }
  });

  test('states in which nothing is offloaded (INIT-072)', () => {
    for (const [state, expected] of [
      [TcpConnectionState.SYN_SENT, 'FAILURE'],
      [TcpConnectionState.SYN_RCVD, 'FAILURE'],
      [TcpConnectionState.TIME_WAIT, 'FAILURE'],
      [TcpConnectionState.CLOSED, 'FAILURE'],
      [TcpConnectionState.CLOSE_WAIT, 'SUCCESS'],
      [TcpConnectionState.FIN_WAIT2, 'SUCCESS'],
    ] as const) {
      const w = new World();
      const tcp = w.tcpBlock(new HostObject(), { state });
      expect(statusOf(w, (root) => (root.dependentBlockList!.dependentBlockList = tcp))).toBe(expected);
    }
  });

  test('a four-tuple that is here already, reserved types, missing structures (TREE-029)', () => {
    const w = new World();
    const c = w.offload();
    const top = new OffloadBlock(OffloadStateType.NEIGHBOR, c.neighbor.handle);
    const link = new OffloadBlock(OffloadStateType.IP4, c.path.handle);
    const again = w.tcpBlock(new HostObject());
    const reserved = w.tcpBlock(new HostObject(), { localPort: 81 });
    reserved.header.type = OffloadStateType.TCP_RESOURCE;
    const half = w.tcpBlock(new HostObject(), { localPort: 82 });
    half.cachedState = null;
    top.dependentBlockList = link;
    link.dependentBlockList = again;
    again.nextBlock = reserved;
    reserved.nextBlock = half;
    w.initiate(top);
    w.settle();
    expect([again, reserved, half].map(name)).toEqual(['FAILURE', 'FAILURE', 'FAILURE']);
    expect(w.target.control.held().tcpObjects).toBe(1);
  });

  test('nothing before the host has enabled the chimney (CAP-022)', () => {
    const w = new World({ enable: false });
    expect(statusOf(w, (root) => root)).toBe('FAILURE');
    w.enable();
    expect(statusOf(w, (root) => root)).toBe('SUCCESS');
    expect(w.oid({ oid: Oid.TCP_TASK_OFFLOAD, kind: 'set', information: null })).toBe(NdisStatus.SUCCESS);
    expect(statusOf(w, (root) => root)).toBe('FAILURE');
  });
});

describe('what comes with a connection', () => {
  test('buffered data waits for requests, fills them, and its remainder precedes newer data (INIT-059, INIT-062 to INIT-064, TCP-052)', () => {
    const w = new World();
    const memory = ascii('buffered data');
    const c = w.offload({ buffered: netBufferListOver(memory) });
    memory.fill(0); // INIT-061: the host frees it
    c.receive(c.text('+new'));
    w.runtime.advance(1_000_000);
    expect(w.host.takeLog()).toEqual([]);
    c.postBytes(8);
    w.settle();
    expect(w.host.takeLog()).toEqual(['receive SUCCESS:8', 'indicate 9 SUCCESS']);
    expect(String.fromCharCode(...w.host.indicated[0]!)).toBe(' data+new');
  });

  test('nothing is indicated before the completion has returned (INIT-050, INIT-051)', () => {
    const w = new World();
    const [n, p, t] = [new HostObject(), new HostObject(), new HostObject()];
    const root = w.neighborBlock(n);
    root.dependentBlockList = w.pathBlock(p);
    root.dependentBlockList.dependentBlockList = w.tcpBlock(t);
    w.initiate(root);
    w.settle();
    expect(w.host.takeLog()).toEqual(['initiate complete']);
  });

  test('send data: in flight is awaited, SndNxt to SndMax goes first, then the unsent (SEND-028 to SEND-036, INIT-070)', () => {
    const w = new World();
    const list = netBufferListOver(ascii('0123456789abcdefghij'));
    // 4 bytes acknowledged-pending in flight, 6 to be sent again, 10 never sent.
    const c = w.offload({ sendData: list, sndUna: 1_000, sndNxt: 1_004, sndMax: 1_010, retransmitTimeoutDelta: 900 });
    const frames = w.sent();
    expect(frames[0]!.seq).toBe(1_004);
    expect(frames.map((f) => String.fromCharCode(...f.text)).join('')).toBe('456789abcdefghij');
    c.ackTo(1_020);
    expect(w.host.takeLog()).toEqual(['send SUCCESS:20']);
    expect(list.firstNetBuffer!.dataLength).toBe(0);
  });

  test('a peer with a larger MSS than the path: data in flight is not taken for lost (STATE-019, STATE-027, SEND-029)', () => {
    const w = new World();
    w.offload({
      sendData: netBufferListOver(new Uint8Array(6_000)),
      remoteMss: 8_960,
      sndUna: 1_000,
      sndNxt: 7_000,
      retransmitTimeoutDelta: 900,
    });
    expect(w.sent()).toEqual([]);
  });

  test('a chain of NULL leaves SendDataHead and SendDataTail without meaning (INIT-068)', () => {
    const w = new World();
    const n = w.neighborBlock(new HostObject());
    const p = w.pathBlock(new HostObject());
    const t = w.tcpBlock(new HostObject(), { sendData: netBufferListOver(ascii('x')) });
    t.netBufferListChain = null;
    n.dependentBlockList = p;
    p.dependentBlockList = t;
    w.initiate(n);
    w.settle();
    expect(name(t)).toBe('SUCCESS');
    expect(w.sent()).toEqual([]);
    expect(w.target.control.held().sends).toBe(0);
  });

  test('IPv6, and a link of bare IP packets without neighbors', () => {
    const six = new World({ family: 6 });
    const c6 = six.offload();
    c6.receive(c6.text('six'));
    expect(six.host.takeLog()).toEqual(['indicate 3 SUCCESS']);

    const ip = new World({ medium: 'ip' });
    const path = ip.pathBlock(new HostObject());
    path.dependentBlockList = ip.tcpBlock(new HostObject());
    ip.initiate(path);
    ip.settle();
    expect([path, path.dependentBlockList].map(name)).toEqual(['SUCCESS', 'SUCCESS']);

    const placeholder = new OffloadBlock(OffloadStateType.NEIGHBOR);
    placeholder.dependentBlockList = ip.pathBlock(new HostObject(), { remote: 3 });
    ip.initiate(placeholder);
    ip.settle();
    expect(name(placeholder.dependentBlockList)).toBe('SUCCESS');

    // A host may keep one neighbor without addresses for such a link.
    const withNeighbor = new World({ medium: 'ip' });
    const c = withNeighbor.offload({}, {}, { destination: new Uint8Array(6) });
    c.receive(c.text('hello'));
    c.send(netBufferListOver(ascii('world')));
    withNeighbor.settle();
    expect(withNeighbor.host.takeLog()).toEqual(['indicate 5 SUCCESS']);
    expect(withNeighbor.sent().at(-1)!.tcpAt).toBe(20);
  });

  test('many connections in one tree (CAP-039, TREE-008)', () => {
    const w = new World();
    const n = w.neighborBlock(new HostObject());
    const p = w.pathBlock(new HostObject());
    n.dependentBlockList = p;
    const blocks: OffloadBlock[] = [];
    for (let i = 0; i < 20_000; i++) {
      const block = w.tcpBlock(new HostObject(), { localPort: 1 + (i % 200), remotePort: 1 + Math.floor(i / 200) });
      if (i === 0) p.dependentBlockList = block;
      else blocks[i - 1]!.nextBlock = block;
      blocks.push(block);
    }
    w.initiate(n);
    w.settle();
    expect(name(n)).toBe('SUCCESS');
    expect(w.target.control.held().tcpObjects).toBe(20_000);
  });
});
