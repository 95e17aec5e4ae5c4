/** Receiving: delayed ACKs, text out of order, SACK blocks, the window we offer. */
import { describe, test } from 'vitest';
import { play } from '../../support/packet-script/play.ts';

describe('acknowledging', () => {
  test('one segment waits for the delayed-ACK timer, two do not (RFC 9293 3.8.6.3 MUST-40, SHLD-19; RFC 5681 4.2, TCP-008, TCP-009)', () => {
    play(`
      +0    < P. 1:101(100) ack 1
      +0    nothing
      +0.04 > .  1:1(0) ack 101
      +1    < P. 101:201(100) ack 1
      +0.01 < P. 201:301(100) ack 1
      +0    > .  1:1(0) ack 301
      +1    nothing
    `);
  });

  test('one segment of a device that joins them counts as the many it was (MUST-58)', () => {
    play(`
      +0    < P. 1:4381(4380) ack 1
      +0    > .  1:1(0) ack 4381
    `);
  });

  test('an ACK rides on data, and the timer is then off', () => {
    play(`
      +0    < P. 1:101(100) ack 1
      +0.01 app write 50
      +0    > P. 1:51(50) ack 101
      +0.02 < .  101:101(0) ack 51
      +1    nothing
    `);
  });

  test('an ACK without text is never answered', () => {
    play(`
      +0    < .  1:1(0) ack 1
      +0    < .  1:1(0) ack 1 win 2000
      +1    nothing
    `);
  });

  test('the first segments of a connection are acknowledged at once where that is asked for', () => {
    play(
      `
      +0    < P. 1:101(100) ack 1
      +0    > .  1:1(0) ack 101
      +0.01 < P. 101:201(100) ack 1
      +0    > .  1:1(0) ack 201
      +0.01 < P. 201:301(100) ack 1
      +0.04 > .  1:1(0) ack 301
    `,
      { parameters: { quickAckSegments: 2 } },
    );
  });
});

describe('out of order', () => {
  test('a gap is told at once, with the block that changed last first; filling it is told at once too (RFC 5681 4.2, RFC 2018 4)', () => {
    play(`
      +0    < .  1001:2001(1000) ack 1
      +0    > .  1:1(0) ack 1 <sack 1001:2001>
      +0    < .  3001:4001(1000) ack 1
      +0    > .  1:1(0) ack 1 <sack 3001:4001 1001:2001>
      +0    < .  2001:3001(1000) ack 1
      +0    > .  1:1(0) ack 1 <sack 1001:4001>
      +0    readable 0
      +0    < .  1:1001(1000) ack 1
      +0    > .  1:1(0) ack 4001 <>
      +0    readable 4000
    `);
  });

  test('four blocks are reported at most, three beside timestamps (RFC 2018 3)', () => {
    play(`
      +0    < .  1001:1101(100) ack 1
      +0    > .  1:1(0) ack 1 <sack 1001:1101>
      +0    < .  2001:2101(100) ack 1
      +0    > .  1:1(0) ack 1 <sack 2001:2101 1001:1101>
      +0    < .  3001:3101(100) ack 1
      +0    > .  1:1(0) ack 1 <sack 3001:3101 2001:2101 1001:1101>
      +0    < .  4001:4101(100) ack 1
      +0    > .  1:1(0) ack 1 <sack 4001:4101 3001:3101 2001:2101 1001:1101>
      +0    < .  5001:5101(100) ack 1
      +0    > .  1:1(0) ack 1 <sack 5001:5101 4001:4101 3001:3101 2001:2101>
      +0    < .  1101:1201(100) ack 1
      +0    > .  1:1(0) ack 1 <sack 1001:1201 5001:5101 4001:4101 3001:3101>
    `);
  });

  test('a segment over text that came before it, out of order, reports that as a duplicate (RFC 2883 4.2)', () => {
    play(`
      +0    < .  101:201(100) ack 1
      +0    > .  1:1(0) ack 1 <sack 101:201>
      +0    < .  301:401(100) ack 1
      +0    > .  1:1(0) ack 1 <sack 301:401 101:201>
      +0    < .  1:351(350) ack 1
      +0    > .  1:1(0) ack 401 <sack 101:201>
      +0    readable 400
      +0    < .  501:601(100) ack 1
      +0    > .  1:1(0) ack 401 <sack 501:601>
      +0    < .  401:501(100) ack 1
      +0    > .  1:1(0) ack 601
    `);
  });

  test('of two duplicates in one segment the lower one is reported (RFC 2883 4)', () => {
    play(`
      +0    < .  1:101(100) ack 1
      +0    < .  201:301(100) ack 1
      +0    > .  1:1(0) ack 101 <sack 201:301>
      +0    < .  51:251(200) ack 1
      +0    > .  1:1(0) ack 301 <sack 51:101>
    `);
  });

  test('a segment that comes twice is reported as a duplicate, once (RFC 2883 4)', () => {
    play(`
      +0    < .  1:1001(1000) ack 1
      +0    < .  1:1001(1000) ack 1
      +0    > .  1:1(0) ack 1001 <sack 1:1001>
      +0    < .  2001:3001(1000) ack 1
      +0    > .  1:1(0) ack 1001 <sack 2001:3001>
      +0    < .  2001:3001(1000) ack 1
      +0    > .  1:1(0) ack 1001 <sack 2001:3001 2001:3001>
      +0    < .  4001:5001(1000) ack 1
      +0    > .  1:1(0) ack 1001 <sack 4001:5001 2001:3001>
    `);
  });

  test('overlapping segments give each byte once (RFC 9293 3.10.7.4 seventh)', () => {
    play(`
      +0    < .  501:1501(1000) ack 1
      +0    > .  1:1(0) ack 1 <sack 501:1501>
      +0    < .  1401:2001(600) ack 1
      +0    > .  1:1(0) ack 1 <...>
      +0    < .  1:601(600) ack 1
      +0    > .  1:1(0) ack 2001 <...>
      +0    readable 2000
      +0    < .  1501:2501(1000) ack 1
      +0.04 > .  1:1(0) ack 2501 <...>
      +0    readable 2500
    `);
  });

  test('a FIN that overtakes its text waits for it', () => {
    play(`
      +0    < F. 1001:1501(500) ack 1
      +0    > .  1:1(0) ack 1 <sack 1001:1501>
      +0    state ESTABLISHED
      +0    < .  1:1001(1000) ack 1
      +0    > .  1:1(0) ack 1502
      +0    state CLOSE-WAIT
      +0    effects END_OF_STREAM
      +0    readable 1500
    `);
  });

  test('a FIN that is next in order ends the stream, whatever came before it for numbers beyond (RFC 9293 3.4)', () => {
    play(`
      +0    < .  201:301(100) ack 1
      +0    > .  1:1(0) ack 1 <sack 201:301>
      +0    < .  51:151(100) ack 1
      +0    > .  1:1(0) ack 1 <sack 51:151 201:301>
      +0    < F. 1:101(100) ack 1
      +0    effects TEXT END_OF_STREAM
      +0    > .  1:1(0) ack 102
      +0    readable 100
      +0    state CLOSE-WAIT
    `);
  });

  test('a FIN that text goes beyond is forgotten, and what then comes out of order is kept as ever', () => {
    play(`
      +0    < F. 51:51(0) ack 1
      +0    > .  1:1(0) ack 1
      +0    < .  1:101(100) ack 1
      +0    > .  1:1(0) ack 101
      +0    < .  201:301(100) ack 1
      +0    > .  1:1(0) ack 101 <sack 201:301>
      +0    < F. 101:201(100) ack 1
      +0    > .  1:1(0) ack 202
      +0    readable 200
    `);
  });

  test('a FIN alone that overtakes its text waits for it too', () => {
    play(`
      +0    < F. 1001:1001(0) ack 1
      +0    > .  1:1(0) ack 1
      +0    < .  1:1001(1000) ack 1
      +0    > .  1:1(0) ack 1002
      +0    state CLOSE-WAIT
    `);
  });

  test('without SACK each segment out of order is answered with a duplicate ACK of its own (RFC 5681 4.2)', () => {
    play(`
      +0    app listen
      +0    < S  0:0(0) win 1000 <mss 1000>
      +0    > S. 0:0(0) ack 1 <mss 1460>
      +0.05 < .  1:1(0) ack 1 win 10000
      +0    < .  1001:2001(1000) ack 1 win 10000
      +0    > .  1:1(0) ack 1
      +0    < .  2001:3001(1000) ack 1 win 10000
      +0    > .  1:1(0) ack 1
      +0    < .  1:1001(1000) ack 1 win 10000
      +0    > .  1:1(0) ack 3001
    `);
  });
});

describe('the window we offer', () => {
  test('shrinks as text arrives and nobody reads, and its right edge never moves left (RFC 9293 3.8.6 SHLD-14)', () => {
    play(
      `
      +0    < .  1:1001(1000) ack 1
      +0    < .  1001:2001(1000) ack 1
      +0    > .  1:1(0) ack 2001 win 3000
      +0    < .  2001:3001(1000) ack 1
      +0    < .  3001:4001(1000) ack 1
      +0    > .  1:1(0) ack 4001 win 1000
      +0    < P. 4001:5001(1000) ack 1
      +0.04 > .  1:1(0) ack 5001 win 0
    `,
      { receiveBuffer: 5000 },
    );
  });

  test('text beyond it is not taken; what fits is (RFC 9293 3.10.7.4 first)', () => {
    play(
      `
      +0    < .  1:1401(1400) ack 1
      +0    > .  1:1(0) ack 1001 win 0
      +0    readable 1000
      +0    < .  1001:1101(100) ack 1
      +0    > .  1:1(0) ack 1001 win 0
      +0    readable 1000
    `,
      { receiveBuffer: 1000 },
    );
  });

  test('opens again in one step worth a segment when the reader has made room, not byte by byte (RFC 9293 3.8.6.2.2 MUST-39)', () => {
    play(
      `
      +0    < .  1:1461(1460) ack 1
      +0    < .  1461:2921(1460) ack 1
      +0    > .  1:1(0) ack 2921 win 0
      +1    app read 10
      +0    nothing
      +0    app read 1000
      +0    nothing
      +0    app read 500
      +0    > .  1:1(0) ack 2921 win 1510
    `,
      { receiveBuffer: 2920 },
    );
  });

  test('with a closed window an ACK is still heard (RFC 9293 MUST-66)', () => {
    play(
      `
      +0    app write 100
      +0    > P. 1:101(100) ack 1
      +0    < .  1:1001(1000) ack 1
      +0.04 > .  101:101(0) ack 1001 win 0
      +0    < .  1001:1002(1) ack 101
      +0    completed 100
      +0    > .  101:101(0) ack 1001 win 0
    `,
      { receiveBuffer: 1000 },
    );
  });
});
