/** Next hops of offloaded connections: found reachable or not, replaced by redirects. chimney-sequences 10, 11, 19. */
import { describe, expect, test } from 'vitest';
import type { OffloadBlock } from '../../src/ndis/protocol.ts';
import { StateOperation } from '../../src/ndis/tap.ts';
import { NeighborCachedState } from '../../src/state/neighbor.ts';
import { hex } from '../host-path/frames.ts';
import { EtherScene, OTHER_ROUTER, ROUTER, routerMac } from './ether-scene.ts';

/** The entry of the router is STALE by then, and the target's own clock is beyond NceStaleTicks. */
const LONG = 200_000_000;

const stale = (): EtherScene => {
  const s = new EtherScene({ offloadParameters: { nceStaleTicks: 10_000 } }).offload();
  s.run(LONG);
  s.door.take();
  s.arps.length = 0;
  return s;
};

const calls = (s: EtherScene): string[] =>
  s.door.take().filter((line) => /^(query|update|invalid|term|init)/.test(line));

describe('a neighbor of which nothing was heard', () => {
  test('nothing of the connection has moved: the target asks before it sends, NRD has not become smaller, and the host probes by unicast ARP; an answer ends it [NBR-024, NBR-028]', () => {
    const s = stale();
    s.write('anybody there?', false);
    expect(s.frames().length).toBeGreaterThan(0);
    expect(s.arps).toEqual([]); // asked and answered inside the call; the host waits before it looks again
    s.run(2_500_000);
    expect(calls(s)).toEqual(['query', 'query complete']);
    expect(s.arps).toEqual([`who-has ${ROUTER} to ${hex(routerMac(254))}`]);
    expect(s.location).toBe('target');
    s.run(10_000_000);
    expect(s.arps).toHaveLength(1);
    expect(calls(s).filter((call) => call.startsWith('invalidate'))).toEqual([]);
    expect(s.findings).toEqual([]);
  });

  test('progress meanwhile: NRD is smaller at the query, and nobody is probed [NBR-023]', () => {
    const s = stale();
    s.write('anybody there?', true);
    s.run(5_000_000);
    expect(calls(s)).toEqual(['query', 'query complete']);
    expect(s.arps).toEqual([]);
  });

  test('probes stay unanswered: the host’s entry is void, the target’s neighbor is invalidated, and its connection comes back [NBR-025, INV-017]', () => {
    const s = stale();
    s.answering.delete(ROUTER);
    s.write('anybody there?', false);
    s.run(10_000_000);
    expect(s.arps.slice(0, 3)).toEqual(Array(3).fill(`who-has ${ROUTER} to ${hex(routerMac(254))}`));
    const seen = calls(s);
    expect(seen.slice(0, 2)).toEqual(['query', 'query complete']);
    expect(seen.indexOf('invalidate')).toBeGreaterThan(1);
    expect(seen.indexOf('terminate')).toBeGreaterThan(seen.indexOf('invalidate complete'));
    expect(s.location).toBe('host');
    expect(s.moves.at(-1)).toMatchObject({ kind: 'terminate', reason: 'NeighborUnreachable', status: 'SUCCESS' });
    // What goes on after that asks everybody.
    expect(s.arps.slice(3).every((line) => line === `who-has ${ROUTER} to ff:ff:ff:ff:ff:ff`)).toBe(true);
    s.answering.set(ROUTER, routerMac(7));
    s.run(60_000_000);
    expect(EtherScene.destinations(s.frames()).at(-1)).toBe(hex(routerMac(7)));
    s.send({});
    s.text('here');
    expect(s.peer.received).toBe(4);
    expect(s.findings).toEqual([]);
  });
});

describe('a redirect', () => {
  test('to a router without known address: it is asked for one, offloaded, and the path is linked to it; no MAC is changed [UPD-011, UPD-023, UPD-024]', () => {
    const s = new EtherScene().offload();
    s.answering.set(OTHER_ROUTER, routerMac(253));
    const trees: string[] = [];
    const describeTree = (root: OffloadBlock): string => {
      const below = root.dependentBlockList === null ? '' : ` over ${describeTree(root.dependentBlockList)}`;
      const cached =
        root.cachedState instanceof NeighborCachedState ? hex(root.cachedState.dlDestinationAddress.slice(0, 6)) : '';
      return `${root.header.type}${cached === '' ? '' : ` ${cached}`}${below}`;
    };
    s.door.onState = (operation, root, isCompletion) => {
      if (!isCompletion && (operation === StateOperation.UPDATE || operation === StateOperation.INITIATE)) {
        trees.push(`${operation} ${describeTree(root)}`);
      }
    };
    s.redirect(OTHER_ROUTER);
    s.run(20_000);
    expect(s.arps).toEqual([`who-has ${OTHER_ROUTER} to ff:ff:ff:ff:ff:ff`]);
    // The new neighbor (with its MAC), then an update whose root names it and carries no state: the path hangs on it now.
    expect(trees).toEqual([`${StateOperation.INITIATE} 4 ${hex(routerMac(253))}`, `${StateOperation.UPDATE} 4 over 8`]);
    expect(s.location).toBe('target');
    s.write('by the other way', true);
    expect(EtherScene.destinations(s.frames())).toContain(hex(routerMac(253)));
    expect(EtherScene.destinations(s.frames())).not.toContain(hex(routerMac(254)));
    // Nothing hangs on the old one any more: it goes.
    s.run(20_000);
    expect(s.stack.target('eth0').control.held()).toMatchObject({ tcpObjects: 1, pathObjects: 1, neighborObjects: 1 });
    expect(s.findings).toEqual([]);
  });

  test('while only an answer to ARP changes a MAC: an update of DlDestinationAddress, no relink [UPD-011, UPD-009]', () => {
    const s = stale();
    s.answering.set(ROUTER, routerMac(7));
    const updates: OffloadBlock[] = [];
    s.door.onState = (operation, root, isCompletion) => {
      if (!isCompletion && operation === StateOperation.UPDATE) updates.push(root);
    };
    s.write('anybody there?', false);
    s.run(3_000_000);
    expect(updates).toHaveLength(1);
    expect(updates[0]!.dependentBlockList).toBe(null);
    expect(hex((updates[0]!.cachedState as NeighborCachedState).dlDestinationAddress.slice(0, 6))).toBe(
      hex(routerMac(7)),
    );
    s.frames();
    s.run(30_000_000);
    expect(new Set(EtherScene.destinations(s.frames()))).toEqual(new Set([hex(routerMac(7))]));
    expect(s.findings).toEqual([]);
  });

  test('to a router that does not answer: connections come back, and their packets ask for it', () => {
    const s = new EtherScene().offload();
    s.redirect(OTHER_ROUTER);
    s.run(5_000_000);
    expect(s.arps.filter((line) => line.includes(OTHER_ROUTER)).length).toBeGreaterThanOrEqual(3);
    expect(s.location).toBe('host');
    // The redirect is void with its router: the old way is taken again.
    s.write('the old way', true);
    expect(EtherScene.destinations(s.frames())).toContain(hex(routerMac(254)));
    expect(s.findings).toEqual([]);
  });
});
