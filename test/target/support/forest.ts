/** Several objects of each layer, offloaded in one tree. */
import type { OffloadBlock } from '../../../src/ndis/protocol.ts';
import { Connection, HostObject, type World } from './world.ts';

export const OTHER_MAC: Uint8Array = new Uint8Array([2, 0, 0, 0, 0, 0x55]);

export interface Forest {
  readonly root: OffloadBlock;
  /** The neighbors; the second has another MAC and VLAN 12. */
  readonly n1: HostObject;
  readonly n2: HostObject;
  readonly p1: HostObject;
  readonly p2: HostObject;
  readonly p3: HostObject;
  /** Two on the first path, one on the second, one on the third. */
  readonly a: Connection;
  readonly b: Connection;
  readonly c: Connection;
  readonly d: Connection;
}

/** Two neighbors: the first with two paths (two connections on one, one on the other), the second with one of each. */
export function forest(w: World): Forest {
  const [n1, n2] = [new HostObject(), new HostObject()];
  const [p1, p2, p3] = [new HostObject(), new HostObject(), new HostObject()];
  const connection = (path: HostObject, neighbor: HostObject, localPort: number, remote: number): Connection => {
    const c = new Connection(w, { localPort }, { remote });
    Object.assign(c, { path, neighbor });
    return c;
  };
  const a = connection(p1, n1, 80, 2);
  const b = connection(p1, n1, 81, 2);
  const c = connection(p2, n1, 80, 3);
  const d = connection(p3, n2, 80, 4);
  const root = w.neighborBlock(n1);
  const second = w.neighborBlock(n2, { destination: OTHER_MAC, vlanId: 12 });
  const path = w.pathBlock(p1, { remote: 2 });
  const other = w.pathBlock(p2, { remote: 3 });
  const far = w.pathBlock(p3, { remote: 4 });
  const tcp = (one: Connection): OffloadBlock => w.tcpBlock(one.tcp, one.spec);
  root.dependentBlockList = path;
  root.nextBlock = second;
  path.nextBlock = other;
  path.dependentBlockList = tcp(a);
  path.dependentBlockList.nextBlock = tcp(b);
  other.dependentBlockList = tcp(c);
  second.dependentBlockList = far;
  far.dependentBlockList = tcp(d);
  w.initiate(root);
  w.settle();
  if ([root, second, path, other, far].some((block) => block.status !== 0)) throw new Error('not offloaded');
  w.host.takeLog();
  return { root, n1, n2, p1, p2, p3, a, b, c, d };
}
