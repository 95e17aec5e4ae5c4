/** Data: sends and their completions, posted receives, indications and returns, forwards. */

import type { Scenario } from '../stage.ts';
import { asArp, asFragment, asIcmp, withOptions } from '../strange-frames.ts';

export const DATA_SCENARIOS: readonly Scenario[] = [
  {
    name: 'sends',
    about: 'several lists in one call and in several, acknowledged, then back',
    build: (s) => {
      const c = s.connection();
      return [[s.initiate([c]), s.send(c, 100, 200), s.send(c, 50), s.send(c, 1), s.terminate([c])], [s.text(c, 10)]];
    },
  },
  {
    name: 'sends-unacknowledged',
    about: 'the peer is silent: sends come back in the chain of the terminate',
    build: (s) => {
      const c = s.connection();
      return [[s.initiate([c]), s.mute(c), s.send(c, 30), s.send(c, 40, 50), s.terminate([c])], [s.acks(c)]];
    },
  },
  {
    name: 'indications',
    about: 'received data is indicated, accepted and returned later, in any order with the terminate',
    build: (s) => {
      const c = s.connection();
      return [
        [s.initiate([c])],
        [s.text(c, 10), s.text(c, 20), s.text(c, 30)],
        [s.terminate([c])],
        [s.returns(), s.returns()],
      ];
    },
  },
  {
    name: 'posted',
    about: 'posted receives are filled and pushed, two at a time, an empty one among them',
    build: (s) => {
      const c = s.connection();
      return [
        [s.initiate([c]), s.post(c, [16, 64]), s.post(c, [0])],
        [s.text(c, 20), s.text(c, 30), s.text(c, 10)],
        [s.post(c, [32, 16]), s.terminate([c])],
      ];
    },
  },
  {
    name: 'posted-nonpush',
    about: 'receives in nonpush mode wait until they are full',
    build: (s) => {
      const c = s.connection();
      return [
        [s.initiate([c]), s.post(c, [64], { noPush: true }), s.post(c, [16], { noPush: true })],
        [s.text(c, 30), s.text(c, 40), s.text(c, 10)],
        [s.terminate([c])],
      ];
    },
  },
  {
    name: 'refused',
    about: 'an indication is refused; the data stays below until a receive is posted',
    build: (s) => {
      const c = s.connection();
      c.answers.push('refuse');
      return [[s.initiate([c])], [s.text(c, 20), s.text(c, 30)], [s.post(c, [25]), s.post(c, [100]), s.terminate([c])]];
    },
  },
  {
    name: 'half-taken',
    about: 'an indication is accepted in part',
    build: (s) => {
      const c = s.connection();
      c.answers.push('half');
      return [[s.initiate([c])], [s.text(c, 20), s.text(c, 30)], [s.post(c, [40]), s.terminate([c])], [s.returns()]];
    },
  },
  {
    name: 'post-inside',
    about: 'receives are posted from inside indications, one refused and one accepted',
    build: (s) => {
      const c = s.connection();
      c.answers.push('refuse-and-post', 'accept-and-post');
      return [
        [s.initiate([c]), s.terminate([c])],
        [s.text(c, 100), s.text(c, 90), s.text(c, 80)],
      ];
    },
  },
  {
    name: 'return-inside',
    about: 'lists are returned from inside an indication, and while others are held',
    build: (s) => {
      const c = s.connection();
      c.answers.push('accept', 'accept-and-return', 'accept-and-return');
      return [[s.initiate([c])], [s.text(c, 10), s.text(c, 20), s.text(c, 30)], [s.terminate([c])]];
    },
  },
  {
    name: 'both-ways',
    about: 'sends and receives at once, on two connections of one path',
    build: (s) => {
      const path = s.path();
      const [a, b] = [s.connection(path), s.connection(path)];
      return [
        [s.initiate([a, b]), s.send(a, 100), s.post(b, [50]), s.terminate([a])],
        [s.send(b, 60), s.terminate([b])],
        [s.text(a, 40), s.text(b, 70)],
      ];
    },
  },
  {
    name: 'late-segments',
    about: 'segments that arrive while the connection goes down are forwarded, out of order as it may be',
    isLazy: true,
    build: (s) => {
      const c = s.connection();
      return [[s.initiate([c])], [s.text(c, 30), s.text(c, 20)], [s.send(c, 10), s.terminate([c])]];
    },
  },
  {
    name: 'overtaking',
    about: 'frames overtake each other, and one arrives twice',
    reorders: true,
    build: (s) => {
      const c = s.connection();
      return [
        [s.initiate([c]), s.send(c, 20), s.terminate([c])],
        [s.text(c, 30), s.text(c, 20), s.peer(c, 'once more', () => c.peer.repeat(20)), s.text(c, 5)],
      ];
    },
  },
  {
    name: 'timers',
    about: 'delayed acknowledgments, retransmissions and the push timer race with everything else',
    races: true,
    build: (s) => {
      const c = s.connection();
      return [
        [s.initiate([c]), s.mute(c), s.send(c, 30), s.post(c, [100]), s.terminate([c])],
        [s.peer(c, '20 bytes, no PSH', () => c.peer.send(20, 16)), s.acks(c)],
      ];
    },
  },
  {
    name: 'urgent',
    about: 'urgent data: the connection is asked for, and nothing of it is delivered below',
    build: (s) => {
      const c = s.connection();
      return [
        [s.initiate([c]), s.send(c, 10), s.post(c, [20]), s.send(c, 10)],
        [s.text(c, 10), s.peer(c, 'urgent', () => c.peer.send(5, 16 | 8 | 32, 5))],
      ];
    },
  },
  {
    name: 'long-sends',
    about: 'more than a segment in one list, over a path of small datagrams beside one of large ones',
    build: (s) => {
      const [a, b] = [s.connection(), s.connection()];
      b.path.mtu = 600;
      return [[s.initiate([a]), s.send(a, 4000), s.initiate([b]), s.send(b, 4000), s.terminate([a])]];
    },
  },
  {
    name: 'strange-frames',
    about: 'a fragment, a datagram with options, ICMP and ARP arrive while a connection works',
    build: (s) => {
      const c = s.connection();
      return [
        [s.initiate([c]), s.send(c, 10), s.send(c, 10)],
        [
          s.strange(c, 'a fragment', ['TCP-072', 'TCP-073', 'TCP-074'], asFragment),
          s.strange(c, 'a datagram with options', ['TCP-075'], withOptions),
          s.strange(c, 'ICMP', ['TCP-076'], asIcmp),
          s.strange(c, 'ARP', ['TCP-076'], asArp),
        ],
      ];
    },
  },
];
