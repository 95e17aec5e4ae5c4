/** Several things at once, with several actors: of these there are more orders than anybody can run, so most are by lot. */

import { routeOf, type Scenario } from '../stage.ts';

export const MIXED_SCENARIOS: readonly Scenario[] = [
  {
    name: 'mixed-data',
    about: 'sends, posted receives, indications, returns and the terminate, each by an actor of its own',
    build: (s) => {
      const c = s.connection();
      return [
        [s.initiate([c]), s.send(c, 10), s.send(c, 20, 30)],
        [s.post(c, [16]), s.post(c, [32, 8])],
        [s.text(c, 10), s.text(c, 20), s.text(c, 30)],
        [s.returns(), s.returns()],
        [s.terminate([c])],
      ];
    },
  },
  {
    name: 'mixed-state',
    about: 'queries and updates of two connections and their path, while data flows on both',
    build: (s) => {
      const path = s.path();
      const [a, b] = [s.connection(path), s.connection(path)];
      return [
        [s.initiate([a, b]), s.send(a, 10), s.terminate([a])],
        [s.query([a], 'delegated'), s.update(b), s.query(routeOf(b))],
        [s.update(path), s.send(b, 20), s.terminate([b])],
        [s.text(a, 10), s.text(b, 20)],
      ];
    },
  },
  {
    name: 'mixed-ends',
    about: 'one connection is closed while another is aborted, with data under way on both',
    build: (s) => {
      const path = s.path();
      const [a, b] = [s.connection(path), s.connection(path)];
      return [
        [s.initiate([a, b]), s.send(a, 10), s.close(a, 5), s.terminate([a])],
        [s.post(b, [40]), s.send(b, 20), s.abort(b)],
        [s.text(a, 10), s.fin(a)],
        [s.text(b, 10), s.text(b, 20)],
      ];
    },
  },
  {
    name: 'mixed-moves',
    about: 'two connections over two neighbors go down, come back, and one goes down again',
    build: (s) => {
      const [a, b] = [s.connection(), s.connection(s.path(s.otherNeighbor()))];
      return [
        [s.initiate([a]), s.send(a, 10), s.terminate([a]), s.initiate([a]), s.send(a, 20)],
        [s.initiate([b]), s.post(b, [30]), s.terminate(routeOf(b))],
        [s.text(a, 10), s.text(a, 20)],
        [s.text(b, 10), s.text(b, 25)],
      ];
    },
  },
  {
    name: 'mixed-refusals',
    about: 'indications are refused, taken in part and answered by a post, while receives come and go',
    build: (s) => {
      const c = s.connection();
      c.answers.push('refuse', 'half', 'accept-and-post', 'half', 'accept-and-return');
      return [
        [s.initiate([c]), s.send(c, 10)],
        [s.text(c, 20), s.text(c, 30), s.text(c, 15), s.text(c, 25)],
        [s.post(c, [25]), s.post(c, [0]), s.post(c, [60])],
        [s.returns(), s.terminate([c])],
      ];
    },
  },
  {
    name: 'mixed-slow',
    about: 'the same by slow drivers, with segments that arrive while the connection goes down and comes back',
    isLazy: true,
    build: (s) => {
      const path = s.path();
      const [a, b] = [s.connection(path), s.connection(path, { sends: [30], unread: 10 })];
      return [
        [s.initiate([a, b]), s.send(a, 10), s.query([a])],
        [s.text(a, 30), s.text(a, 20)],
        [s.post(b, [20]), s.text(b, 15), s.send(b, 10)],
        [s.terminate([a]), s.terminate([b])],
      ];
    },
  },
  {
    name: 'mixed-wire',
    about: 'frames overtake each other and timers fire while two connections send, receive and leave',
    reorders: true,
    races: true,
    build: (s) => {
      const c = s.connection();
      return [
        [s.initiate([c]), s.mute(c), s.send(c, 20), s.send(c, 10), s.terminate([c])],
        [s.text(c, 10), s.text(c, 20), s.peer(c, 'once more', () => c.peer.repeat(20)), s.fin(c)],
        [s.post(c, [15]), s.acks(c)],
      ];
    },
  },
  {
    name: 'mixed-routes',
    about: 'a path is relinked, queried and updated while its connections work, over IPv6 as well',
    build: (s) => {
      const a = s.connection();
      const b = s.connection(s.path(s.otherNeighbor(), 6));
      return [
        [s.initiate([a]), s.initiate([b]), s.relink(a.path, b.path.neighbor)],
        [s.send(a, 20), s.query(routeOf(b)), s.terminate([a])],
        [s.text(a, 10), s.text(b, 10)],
        [s.update(b.path.neighbor), s.send(b, 30), s.post(b, [20])],
      ];
    },
  },
  {
    name: 'mixed-invalid',
    about: 'a path becomes invalid while one of its connections closes and another sends',
    build: (s) => {
      const path = s.path();
      const [a, b] = [s.connection(path), s.connection(path)];
      return [
        [s.initiate([a, b]), s.send(a, 10), s.close(a)],
        [s.send(b, 10), s.invalidate([path]), s.send(b, 20)],
        [s.text(a, 10), s.text(b, 10), s.fin(a)],
        [s.post(b, [5]), s.query([b], 'delegated')],
      ];
    },
  },
];
