/** Next hops of offloaded connections: found reachable or not, replaced by redirects. chimney-sequences 10, 11, 19. */
import { describe, expect, test } from 'vitest';
import { NeighborState } from '../../src/host/path/types.ts';
import type { OffloadBlock } from '../../src/ndis/protocol.ts';
import { StateOperation } from '../../src/ndis/tap.ts';
import { NeighborCachedState } from '../../src/state/neighbor.ts';
import { hex } from '../host-path/frames.ts';
import { EtherScene, OTHER_ROUTER, ROUTER } from './ether-scene.ts';
import { routerMac } from './wire-scene.ts';

/** The entry of the router is STALE by then, and the target's own clock is beyond NceStaleTicks. */
const LONG = 200_000_000;

/** A target may take its time. */
const PATIENT = { checkForHangUs: Number.POSITIVE_INFINITY };

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

describe('a next hop while what hangs on it is on its way down', () => {
  const entryOf = (s: EtherScene) => s.peer.endpoint.path.neighbor!;
  const unanswered = (s: EtherScene): void => {
    s.answering.delete(ROUTER);
    s.stack.host.ip.probe(entryOf(s));
    s.run(6_000_000);
    expect(entryOf(s).state).toBeLessThan(NeighborState.REACHABLE);
  };

  test('does not answer its probes: it is invalidated as soon as it has arrived, and the connection comes back [INV-017, INV-022]', () => {
    const s = new EtherScene(PATIENT);
    s.initiateSlowly(s.peer.endpoint, () => unanswered(s), 20_000_000);
    const seen = calls(s);
    expect(seen.indexOf('invalidate')).toBeGreaterThan(seen.indexOf('initiate complete'));
    expect(seen.indexOf('terminate')).toBeGreaterThan(seen.indexOf('invalidate complete'));
    expect(s.location).toBe('host');
    expect(s.moves.at(-1)).toMatchObject({ kind: 'terminate', reason: 'NeighborUnreachable', status: 'SUCCESS' });
    s.answering.set(ROUTER, routerMac(7));
    s.write('to whoever it is now', true);
    expect(EtherScene.destinations(s.frames()).at(-1)).toBe(hex(routerMac(7)));
    s.offload();
    expect(s.stack.target('eth0').control.held()).toMatchObject({ tcpObjects: 1, pathObjects: 1, neighborObjects: 1 });
    expect(s.findings).toEqual([]);
  });

  test.each([
    ['does not answer, and does so later with another address', unanswered],
    ['gets another address', (): void => undefined],
  ])('%s: that is an update as soon as it has arrived [UPD-029, UPD-009]', (_what, before) => {
    const s = new EtherScene(PATIENT);
    const macs: string[] = [];
    s.door.onState = (operation, root, isCompletion) => {
      if (isCompletion || operation !== StateOperation.UPDATE) return;
      macs.push(hex((root.cachedState as NeighborCachedState).dlDestinationAddress.slice(0, 6)));
    };
    const meanwhile = (): void => {
      before(s);
      s.answering.set(ROUTER, routerMac(7));
      s.stack.host.ip.probe(entryOf(s));
      s.run(6_000_000);
    };
    s.initiateSlowly(s.peer.endpoint, meanwhile, 20_000_000);
    expect(s.location).toBe('target');
    expect(macs).toEqual([hex(routerMac(7))]);
    s.write('to its new address', true);
    expect(EtherScene.destinations(s.frames()).at(-1)).toBe(hex(routerMac(7)));
    expect(s.findings).toEqual([]);
  });
});

describe('a next hop behind a link that was down', () => {
  const downAndUp = (s: EtherScene): void => {
    s.link.receiver!.linkState(false);
    s.run(100_000);
    s.link.receiver!.linkState(true);
    s.run(100_000);
  };

  test('has another address now: the host asks for it when the target asks, and that is an update [UPD-009, NBR-024]', () => {
    const s = stale();
    downAndUp(s);
    s.answering.set(ROUTER, routerMac(7));
    s.arps.length = 0;
    s.write('anybody there?', false);
    s.run(30_000_000);
    expect(s.arps).toEqual([`who-has ${ROUTER} to ff:ff:ff:ff:ff:ff`]);
    expect(calls(s)).toEqual(['query', 'query complete', 'update', 'update complete']);
    expect(EtherScene.destinations(s.frames()).at(-1)).toBe(hex(routerMac(7)));
    expect(s.location).toBe('target');
    expect(s.findings).toEqual([]);
  });

  test('is not there any more: its connection comes back [INV-017]', () => {
    const s = stale();
    downAndUp(s);
    s.answering.delete(ROUTER);
    s.write('anybody there?', false);
    s.run(30_000_000);
    expect(s.location).toBe('host');
    expect(s.moves.at(-1)).toMatchObject({ kind: 'terminate', reason: 'NeighborUnreachable', status: 'SUCCESS' });
    expect(s.findings).toEqual([]);
  });

  test('is not asked while it is down: connections stay where they are [TERM-069]', () => {
    const s = stale();
    s.link.receiver!.linkState(false);
    s.arps.length = 0;
    s.write('anybody there?', false);
    s.run(30_000_000);
    expect(s.arps).toEqual([]);
    expect(s.location).toBe('target');
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

  test('to a router that falls silent while it is on its way down: it is not kept, and the old way is taken', () => {
    const s = new EtherScene(PATIENT).offload();
    s.answering.set(OTHER_ROUTER, routerMac(253));
    s.target.initiateDelayUs = 20_000_000;
    s.redirect(OTHER_ROUTER);
    s.run(20_000);
    s.answering.delete(OTHER_ROUTER);
    s.stack.host.ip.probe(s.peer.endpoint.path.neighbor!);
    s.run(30_000_000);
    expect(s.location).toBe('target');
    expect(s.moves.map(({ kind }) => kind)).toEqual(['initiate']);
    s.write('the old way', true);
    expect(EtherScene.destinations(s.frames())).toContain(hex(routerMac(254)));
    expect(s.stack.target('eth0').control.held()).toMatchObject({ tcpObjects: 1, pathObjects: 1, neighborObjects: 1 });
    expect(s.findings).toEqual([]);
  });

  test('to a router that does not answer, and back again meanwhile: connections stay where they are', () => {
    const s = new EtherScene().offload();
    s.redirect(OTHER_ROUTER);
    s.run(20_000);
    s.redirect(ROUTER, OTHER_ROUTER);
    s.run(5_000_000);
    expect(s.arps.filter((line) => line.includes(OTHER_ROUTER)).length).toBeGreaterThanOrEqual(3);
    expect(s.location).toBe('target');
    s.write('the old way', true);
    expect(EtherScene.destinations(s.frames())).toContain(hex(routerMac(254)));
    expect(s.findings).toEqual([]);
  });

  test('to a router that answers when the path goes elsewhere already: it is not offloaded for nothing', () => {
    const s = new EtherScene().offload();
    s.redirect(OTHER_ROUTER);
    s.run(20_000);
    s.redirect(ROUTER, OTHER_ROUTER);
    s.run(20_000);
    s.answering.set(OTHER_ROUTER, routerMac(253));
    s.run(5_000_000);
    expect(calls(s)).toEqual([]);
    expect(s.location).toBe('target');
    expect(s.findings).toEqual([]);
  });

  test('the former next hop goes when the target has linked the path to the other, not before [UPD-026, TERM-064]', () => {
    const s = new EtherScene().offload();
    s.answering.set(OTHER_ROUTER, routerMac(253));
    s.target.updateDelayUs = 500_000;
    s.redirect(OTHER_ROUTER);
    s.run(20_000);
    // Something else is over meanwhile: the time to look what is not needed any more.
    s.peer.endpoint.chimney.query().catch(() => undefined);
    s.run(20_000);
    expect(calls(s)).toEqual(['initiate', 'initiate complete', 'update', 'query', 'query complete']);
    s.run(1_000_000);
    expect(calls(s)).toEqual(['update complete', 'terminate', 'terminate complete']);
    expect(s.stack.target('eth0').control.held()).toMatchObject({ tcpObjects: 1, pathObjects: 1, neighborObjects: 1 });
    expect(s.findings).toEqual([]);
  });

  test('that the target fails to follow: the connection comes back, and both next hops go after it [UPD-035, TERM-063]', () => {
    const s = new EtherScene().offload();
    s.answering.set(OTHER_ROUTER, routerMac(253));
    s.target.failsUpdates = true;
    s.redirect(OTHER_ROUTER);
    s.run(200_000);
    expect(s.location).toBe('host');
    expect(s.stack.target('eth0').control.held()).toMatchObject({ tcpObjects: 0, pathObjects: 0, neighborObjects: 0 });
    s.offload();
    expect(s.stack.target('eth0').control.held()).toMatchObject({ tcpObjects: 1, pathObjects: 1, neighborObjects: 1 });
    s.write('by the other way', true);
    expect(EtherScene.destinations(s.frames())).toContain(hex(routerMac(253)));
    expect(s.findings).toEqual([]);
  });

  test('while the target is paused: nothing new is offloaded, the connection comes back [EVT-042]', () => {
    const s = new EtherScene().offload();
    s.answering.set(OTHER_ROUTER, routerMac(253));
    s.stack.target('eth0').control.pause();
    s.run(1_000);
    s.redirect(OTHER_ROUTER);
    s.run(5_000_000);
    expect(calls(s)).toEqual(['terminate', 'terminate complete']);
    expect(s.location).toBe('host');
    s.write('by the other way', true);
    expect(EtherScene.destinations(s.frames())).toContain(hex(routerMac(253)));
    s.stack.target('eth0').control.resume();
    s.run(1_000);
    s.offload();
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
