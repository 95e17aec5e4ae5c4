/** How connections end: in good order, by either side, or not. */

import { Oid } from '../../ndis/protocol.ts';
import type { Scenario } from '../stage.ts';

export const ENDING_SCENARIOS: readonly Scenario[] = [
  {
    name: 'close-alone',
    about: 'a graceful disconnect without data, and nothing else',
    build: (s) => {
      const c = s.connection();
      return [[s.initiate([c]), s.close(c), s.terminate([c])]];
    },
  },
  {
    name: 'close',
    about: 'data, then a graceful disconnect, acknowledged; the peer goes on',
    build: (s) => {
      const c = s.connection();
      return [
        [s.initiate([c]), s.send(c, 30), s.close(c), s.terminate([c])],
        [s.text(c, 10), s.fin(c)],
      ];
    },
  },
  {
    name: 'close-with-data',
    about: 'a graceful disconnect that carries data',
    build: (s) => {
      const c = s.connection();
      return [[s.initiate([c]), s.send(c, 10), s.close(c, 20), s.terminate([c])], [s.fin(c)]];
    },
  },
  {
    name: 'close-unacknowledged',
    about: 'the peer is silent: the disconnect comes back by the terminate',
    build: (s) => {
      const c = s.connection();
      return [[s.initiate([c]), s.mute(c), s.send(c, 30), s.close(c, 5), s.terminate([c])], [s.acks(c)]];
    },
  },
  {
    name: 'peer-closes',
    about: 'the peer finishes after its data: TcpIndicateDisconnect once all of it was taken',
    build: (s) => {
      const c = s.connection();
      c.answers.push('accept', 'refuse');
      return [
        [s.initiate([c]), s.post(c, [50])],
        [s.text(c, 20), s.text(c, 15), s.fin(c)],
        [s.post(c, [20]), s.send(c, 10), s.terminate([c])],
      ];
    },
  },
  {
    name: 'both-close',
    about: 'both sides finish at once',
    build: (s) => {
      const c = s.connection();
      return [[s.initiate([c]), s.close(c), s.terminate([c])], [s.fin(c)]];
    },
  },
  {
    name: 'abort',
    about: 'an abortive disconnect with sends and receives outstanding',
    build: (s) => {
      const c = s.connection();
      return [
        [s.initiate([c]), s.mute(c), s.send(c, 30), s.post(c, [40]), s.abort(c), s.terminate([c])],
        [s.text(c, 10), s.text(c, 10)],
      ];
    },
  },
  {
    name: 'abort-after-close',
    about: 'an abortive disconnect while a graceful one is outstanding',
    build: (s) => {
      const c = s.connection();
      return [[s.initiate([c]), s.mute(c), s.send(c, 30), s.close(c, 5), s.abort(c), s.terminate([c])], [s.acks(c)]];
    },
  },
  {
    name: 'peer-resets-idle',
    about: 'an RST of the peer while nothing is outstanding',
    build: (s) => {
      const c = s.connection();
      return [[s.initiate([c])], [s.reset(c)]];
    },
  },
  {
    name: 'peer-resets',
    about: 'an RST of the peer while everything is outstanding',
    build: (s) => {
      const c = s.connection();
      return [
        [s.initiate([c]), s.mute(c), s.send(c, 30), s.post(c, [40]), s.close(c)],
        [s.text(c, 10), s.reset(c)],
      ];
    },
  },
  {
    name: 'terminate-under-fire',
    about: 'a terminate while sends, receives, a disconnect, a query and segments are under way',
    build: (s) => {
      const c = s.connection();
      return [
        [s.initiate([c]), s.send(c, 100), s.terminate([c])],
        [s.post(c, [50]), s.close(c)],
        [s.text(c, 30), s.text(c, 30)],
        [s.query([c])],
      ];
    },
  },
  {
    name: 'closed-and-counted',
    about: 'statistics are asked for while a connection is here whose FIN is acknowledged',
    build: (s) => {
      const c = s.connection();
      return [[s.initiate([c]), s.close(c), s.oid(Oid.TCP4_OFFLOAD_STATS, 'query'), s.terminate([c])]];
    },
  },
];
