/** Trees: what is offloaded together, and what comes back together. */

import { routeOf, type Scenario } from '../stage.ts';

export const TREE_SCENARIOS: readonly Scenario[] = [
  {
    name: 'down-and-up',
    about: 'one connection goes down with its path and neighbor and all three come back in one tree',
    build: (s) => {
      const c = s.connection();
      return [[s.initiate([c]), s.terminate(routeOf(c))]];
    },
  },
  {
    name: 'down-and-up-ipv6',
    about: 'the same over IPv6, with bytes both ways',
    build: (s) => {
      const c = s.connection(s.path(s.neighbor(), 6));
      return [[s.initiate([c]), s.send(c, 100), s.terminate(routeOf(c))], [s.text(c, 50)]];
    },
  },
  {
    name: 'one-by-one',
    about: 'connection, path and neighbor come back in trees of their own',
    build: (s) => {
      const c = s.connection();
      return [[s.initiate([c]), s.terminate([c]), s.terminate([c.path]), s.terminate([c.path.neighbor])]];
    },
  },
  {
    name: 'without-structures',
    about: 'path and neighbor come back by blocks behind which there is no structure to fill',
    build: (s) => {
      const c = s.connection();
      return [[s.initiate([c]), s.terminate([c]), s.terminateBare([c.path]), s.terminateBare([c.path.neighbor])]];
    },
  },
  {
    name: 'bush',
    about: 'two paths with two connections each in one tree',
    build: (s) => {
      const neighbor = s.neighbor();
      const paths = [s.path(neighbor), s.path(neighbor)];
      const all = paths.flatMap((path) => [s.connection(path), s.connection(path)]);
      const [a, b, c, d] = all as [(typeof all)[0], (typeof all)[0], (typeof all)[0], (typeof all)[0]];
      return [
        [s.initiate(all), s.send(a, 10), s.terminate([neighbor, ...paths, ...all])],
        [s.text(b, 10), s.text(c, 10), s.text(d, 10)],
      ];
    },
  },
  {
    name: 'linkers',
    about: 'two more connections are linked to a path that is there, while the first one works',
    build: (s) => {
      const path = s.path();
      const [first, second, third] = [s.connection(path), s.connection(path), s.connection(path)];
      return [
        [s.initiate([first]), s.initiate([second, third]), s.terminate([second])],
        [s.send(first, 20), s.send(first, 20)],
        [s.text(first, 20)],
      ];
    },
  },
  {
    name: 'placeholders',
    about: 'a placeholder stands for the neighbor of a path that is there; a query below a placeholder',
    build: (s) => {
      const path = s.path();
      const [first, second] = [s.connection(path), s.connection(path)];
      return [
        [s.initiate([first]), s.initiate([second], true), s.query([first], 'delegated', true)],
        [s.send(second, 10)],
      ];
    },
  },
  {
    name: 'lone-placeholder',
    about: 'a placeholder stands beside a tree, and nothing hangs on it',
    build: (s) => {
      const c = s.connection();
      return [[s.initiateBeside(c), s.send(c, 10), s.terminate([c])]];
    },
  },
  {
    name: 'two-neighbors',
    about: 'two trees beside each other; a neighbor is added to a root chain',
    build: (s) => {
      const [a, b] = [s.connection(), s.connection(s.path(s.otherNeighbor()))];
      return [[s.initiate([a, b]), s.terminate([a, b]), s.terminate([a.path, b.path])], [s.send(b, 30)]];
    },
  },
  {
    name: 'with-luggage',
    about: 'a connection goes down with send data outstanding and received data unread',
    build: (s) => {
      const c = s.connection(s.path(), { sends: [40, 60], unread: 30 });
      return [[s.initiate([c]), s.post(c, [100]), s.terminate([c])], [s.text(c, 20)]];
    },
  },
  {
    name: 'luggage-of-many',
    about: 'two connections with send data go down together, one of them to be refused or to be taken',
    build: (s) => {
      const path = s.path();
      const [a, b] = [s.connection(path, { sends: [40] }), s.connection(path, { sends: [10, 20] })];
      return [
        [s.initiate([a, b]), s.send(a, 10), s.send(b, 10)],
        [s.text(a, 5), s.text(b, 5)],
      ];
    },
  },
  {
    name: 'again',
    about: 'a connection comes back with data in flight and goes down again with its state and its luggage',
    build: (s) => {
      const c = s.connection();
      return [
        [
          s.initiate([c]),
          s.mute(c),
          s.send(c, 50, 50),
          s.terminate([c]),
          s.initiate([c]),
          s.acks(c),
          s.send(c, 20),
          s.terminate([c]),
        ],
        [s.text(c, 30)],
      ];
    },
  },
];
