/** Resets and blind attacks: RFC 9293 3.5.2, 3.5.3, RFC 5961. */
import { describe, test } from 'vitest';
import { play } from '../../support/packet-script/play.ts';

describe('resets', () => {
  test('an RST that does not match RCV.NXT exactly is challenged, not obeyed (RFC 5961 3.2)', () => {
    play(`
      +0    <  R. 101:101(0)    ack 1           // in the window, but a guess
      +0    >  .  1:1(0)        ack 1
      +0    state ESTABLISHED
      +0    <  R. 1:1(0)        ack 1           // the real one
      +0    nothing
      +0    state CLOSED
      +0    effects ABORTED
    `);
  });

  test('an RST outside the window is dropped in silence (RFC 5961 3.2)', () => {
    play(`
      +0    < R  70001:70001(0)
      +0    < R  -100:-100(0)
      +0    nothing
      +0    state ESTABLISHED
    `);
  });

  test('a SYN in an established connection is challenged, whatever its number (RFC 5961 4.2)', () => {
    play(`
      +0    < S  1:1(0) win 1000
      +0    > .  1:1(0) ack 1
      +0    < S  -5000:-5000(0) win 1000
      +0    > .  1:1(0) ack 1
      +0    < S. 1:1(0) ack 1 win 1000
      +0    > .  1:1(0) ack 1
      +0    state ESTABLISHED
    `);
  });

  test('an ACK of what was never sent, or from long ago, is challenged and its text not taken (RFC 5961 5.2)', () => {
    play(`
      +0    < P. 1:11(10) ack 5000
      +0    > .  1:1(0) ack 1
      +0    readable 0
      +0    < P. 1:11(10) ack -100000
      +0    > .  1:1(0) ack 1
      +0    readable 0
    `);
  });

  test('challenge ACKs are limited in number (RFC 5961 7)', () => {
    const guess = '+0 < R. 101:101(0) ack 1\n';
    play(
      `
      ${`${guess}+0 > . 1:1(0) ack 1\n`.repeat(10)}
      ${guess.repeat(50)}
      +0    nothing
      +6    ${guess.slice(3)}
      +0    > .  1:1(0) ack 1
    `,
      { parameters: { challengeAckLimit: 10, challengeIntervalUs: 5_000_000 } },
    );
  });

  test('we abort: RST, all data dropped, and what comes later is answered with a reset (RFC 9293 3.10.5)', () => {
    play(`
      +0    app write 1000
      +0    > P. 1:1001(1000) ack 1
      +0    app abort
      +0    > R. 1001:1001(0) ack 1
      +0    state CLOSED
      +0.01 < .  1:1(0) ack 1001
      +0    > R  1001:1001(0)
      +5    nothing
    `);
  });

  test('a reset is never answered with a reset (RFC 9293 3.10.7.1)', () => {
    play(`
      +0    app abort
      +0    > R. 1:1(0) ack 1
      +0    < R  1:1(0)
      +0    < R. 1:1(0) ack 1
      +0    nothing
    `);
  });

  test('a segment for a closed connection: with ACK it is reset at its ACK, without at nothing (RFC 9293 3.10.7.1)', () => {
    play(`
      +0    app abort
      +0    > R. 1:1(0) ack 1
      +0    < P. 1:11(10) ack 500
      +0    > R  500:500(0)
      +0    < F  1:11(10)
      +0    > R. 1000:1000(0) ack 12
    `);
  });

  test('an RST in TIME-WAIT does not end it (RFC 1337)', () => {
    play(`
      +0    app close
      +0    > F. 1:1(0) ack 1
      +0.01 < F. 1:1(0) ack 2
      +0    > .  2:2(0) ack 2
      +0    < R  2:2(0)
      +0    state TIME-WAIT
    `);
  });

  test('an RST in LAST-ACK or CLOSING ends the connection in good order (RFC 9293 3.10.7.4 second)', () => {
    play(`
      +0    < F. 1:1(0) ack 1
      +0    > .  1:1(0) ack 2
      +0    app close
      +0    > F. 1:1(0) ack 2
      +0    < R  2:2(0)
      +0    state CLOSED
      +0    effects CLOSED !ABORTED
    `);
  });

  test('a segment outside the window is answered with an ACK and not taken (RFC 9293 3.10.7.4 first)', () => {
    play(`
      +0    < P. 70001:70101(100) ack 1
      +0    > .  1:1(0) ack 1
      +0    < P. -199:-99(100) ack 1
      +0    > .  1:1(0) ack 1
      +0    readable 0
    `);
  });

  test('a segment without ACK is dropped (RFC 9293 3.10.7.4 fifth)', () => {
    play(`
      +0    < P  1:11(10)
      +0.1  nothing
      +0    readable 0
    `);
  });
});
