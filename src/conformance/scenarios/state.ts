/** Query, update, invalidate: alone, together, and against the terminate. OIDs and power. */

import { Oid } from '../../ndis/protocol.ts';
import { routeOf, type Scenario } from '../stage.ts';

export const STATE_SCENARIOS: readonly Scenario[] = [
  {
    name: 'operations-alone',
    about: 'a connection is queried and updated, and nothing else happens to it',
    build: (s) => {
      const c = s.connection();
      return [[s.initiate([c]), s.query([c]), s.update(c), s.terminate([c])]];
    },
  },
  {
    name: 'queries',
    about: 'connection, path and neighbor are queried, alone and in one tree, while data flows',
    build: (s) => {
      const c = s.connection();
      return [
        [s.initiate([c]), s.send(c, 30), s.send(c, 10), s.terminate([c])],
        [s.query([c]), s.query(routeOf(c)), s.query([c], 'delegated')],
      ];
    },
  },
  {
    name: 'updates',
    about: 'cached state of each layer is updated while data flows',
    build: (s) => {
      const c = s.connection();
      const change = (): void => {
        c.tos = 8;
      };
      const shrink = (): void => {
        c.path.mtu = 1400;
      };
      return [
        [s.initiate([c]), s.send(c, 30), s.terminate([c])],
        [s.update(c, change), s.update(c.path, shrink), s.update(c.path.neighbor)],
        [s.text(c, 10)],
      ];
    },
  },
  {
    name: 'update-below-placeholder',
    about: 'a connection is updated in a tree whose root is a placeholder',
    build: (s) => {
      const c = s.connection();
      return [[s.initiate([c]), s.updateBelow(c), s.send(c, 10), s.terminate([c])]];
    },
  },
  {
    name: 'relink',
    about: 'a path moves to another neighbor, and its connection goes on',
    build: (s) => {
      const a = s.connection();
      const b = s.connection(s.path(s.otherNeighbor()));
      return [[s.initiate([a]), s.initiate([b]), s.relink(a.path, b.path.neighbor), s.send(a, 20), s.terminate([a])]];
    },
  },
  {
    name: 'invalidate-connection',
    about: 'an invalidated connection is kept until it is terminated, and sends nothing',
    build: (s) => {
      const c = s.connection();
      return [
        [s.initiate([c]), s.send(c, 30), s.invalidate([c]), s.send(c, 10)],
        [s.text(c, 10), s.text(c, 10)],
      ];
    },
  },
  {
    name: 'invalidate-path',
    about: 'connections of an invalidated path are asked back',
    build: (s) => {
      const path = s.path();
      const [a, b] = [s.connection(path), s.connection(path)];
      return [[s.initiate([a, b]), s.send(a, 30), s.invalidate([path]), s.send(b, 10)], [s.text(b, 10)]];
    },
  },
  {
    name: 'invalidate-neighbor',
    about: 'an invalidated neighbor, with all that hangs on it',
    build: (s) => {
      const c = s.connection();
      return [[s.initiate([c]), s.invalidate([c.path.neighbor]), s.send(c, 10), s.terminate([c])], [s.text(c, 10)]];
    },
  },
  {
    name: 'query-in-flight',
    about: 'a connection is queried with sends and receives outstanding, and taken back with them',
    build: (s) => {
      const c = s.connection();
      return [[s.initiate([c]), s.mute(c), s.send(c, 30), s.post(c, [40]), s.query([c]), s.terminate([c])]];
    },
  },
  {
    name: 'invalidate-in-flight',
    about: 'the same with an invalidate',
    build: (s) => {
      const c = s.connection();
      return [[s.initiate([c]), s.mute(c), s.send(c, 30), s.post(c, [40]), s.invalidate([c]), s.terminate([c])]];
    },
  },
  {
    name: 'crossing',
    about: 'query, update and invalidate of one connection under way at once, then the terminate',
    build: (s) => {
      const c = s.connection();
      return [
        [s.initiate([c]), s.query([c]), s.invalidate([c])],
        [s.update(c), s.send(c, 10)],
        [s.query([c], 'delegated')],
      ];
    },
  },
  {
    name: 'capabilities',
    about: 'capabilities, tunables and statistics are asked for while a connection works',
    build: (s) => {
      const c = s.connection();
      return [
        [s.initiate([c]), s.send(c, 10), s.terminate([c])],
        [
          s.oid(Oid.TCP_TASK_OFFLOAD, 'query'),
          s.oid(Oid.TCP_CONNECTION_OFFLOAD_PARAMETERS, 'query'),
          s.oid(Oid.TCP4_OFFLOAD_STATS, 'query'),
          s.oid(Oid.IP4_OFFLOAD_STATS, 'query'),
          s.oid(Oid.TCP6_OFFLOAD_STATS, 'query'),
          s.oid(Oid.IP6_OFFLOAD_STATS, 'query'),
        ],
      ];
    },
  },
  {
    name: 'counters',
    about: 'counters are read, reset and read again at once',
    build: (s) => {
      const c = s.connection();
      const both = [Oid.IP4_OFFLOAD_STATS, Oid.TCP4_OFFLOAD_STATS];
      return [
        [
          ...[s.initiate([c]), s.send(c, 10), s.send(c, 10), s.send(c, 10), s.send(c, 10), s.send(c, 10)],
          ...both.flatMap((oid) => [s.oid(oid, 'query'), s.oid(oid, 'set'), s.oid(oid, 'query')]),
          s.terminate([c]),
        ],
      ];
    },
  },
  {
    name: 'sleep',
    about: 'the host terminates everything and puts the adapter to sleep, and wakes it',
    build: (s) => {
      const c = s.connection();
      return [
        [s.initiate([c]), s.send(c, 10), s.terminate(routeOf(c)), s.sleep(4), s.oid(Oid.PNP_SET_POWER, 'set', 1)],
        [s.text(c, 10)],
      ];
    },
  },
];
