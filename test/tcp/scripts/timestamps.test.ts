/** Timestamps and PAWS: RFC 7323 3 to 5. */
import { describe, test } from 'vitest';
import { FULL_HANDSHAKE, play } from '../../support/packet-script/play.ts';

const options = { handshake: FULL_HANDSHAKE };

describe('timestamps', () => {
  test('the clock ticks once a millisecond and the echo is what advanced the window last (RFC 7323 4.3, TCP-122, TCP-071)', () => {
    play(
      `
      +1    < P. 1:101(100) ack 1 win 512 <TS val 2000 ecr t>
      +0.01 < P. 201:301(100) ack 1 win 512 <TS val 2010 ecr t>
      +0    > .  1:1(0) ack 101 <TS val t+1020 ecr 2000,sack 201:301>
      +0.01 < P. 101:201(100) ack 1 win 512 <TS val 2005 ecr t>
      +0    > .  1:1(0) ack 301 <TS val t+1030 ecr 2005>
    `,
      options,
    );
  });

  test('with a delayed ACK the echo is that of the first segment it covers (RFC 7323 4.3 (2))', () => {
    play(
      `
      +1    < P. 1:101(100) ack 1 win 512 <TS val 2000 ecr t>
      +0.01 < P. 101:201(100) ack 1 win 512 <TS val 2010 ecr t>
      +0    > .  1:1(0) ack 201 <TS val * ecr 2000>
    `,
      options,
    );
  });

  test('PAWS: a segment with an older timestamp is acknowledged and dropped, an RST excepted (RFC 7323 5.3 R1, TCP-121, TCP-108)', () => {
    play(
      `
      +0    < P. 1:101(100) ack 1 win 512 <TS val 900 ecr t>
      +0    > .  1:1(0) ack 1 <TS val * ecr 1010>
      +0    readable 0
      +0    < P. 1:101(100) ack 1 win 512 <TS val 1010 ecr t>
      +0.04 > .  1:1(0) ack 101 <TS val * ecr 1010>
      +0    readable 100
      +0    < R. 101:101(0) ack 1 win 0 <TS val 5 ecr t>
      +0    state CLOSED
    `,
      options,
    );
  });

  test('a segment whose ACK is challenged does not make those of the peer look old (RFC 5961 5, RFC 7323 5.3 R3)', () => {
    play(
      `
      +0    < P. 1:101(100) ack 5000 win 512 <TS val 2000000000 ecr t>
      +0    > .  1:1(0) ack 1 <TS val * ecr 1010>
      +0    readable 0
      +0    < P. 1:101(100) ack 1 win 512 <TS val 1011 ecr t>
      +0.04 > .  1:1(0) ack 101 <TS val * ecr 1011>
      +0    readable 100
    `,
      options,
    );
  });

  test("PAWS across the wrap of the peer's clock", () => {
    play(
      `
      +0    app listen
      +0    < S  0:0(0) win 65535 <mss 1460,TS val 4294967290 ecr 0>
      +0    > S. 0:0(0) ack 1 <mss 1460,TS val t ecr 4294967290>
      +0.01 < .  1:1(0) ack 1 win 512 <TS val 4294967295 ecr t>
      +0    < P. 1:101(100) ack 1 win 512 <TS val 5 ecr t>
      +0    < P. 101:201(100) ack 1 win 512 <TS val 4294967295 ecr t>
      +0    > .  1:1(0) ack 101 <TS val * ecr 5>
      +0    readable 100
    `,
    );
  });

  test('after 24 days of silence an old timestamp is believed again (RFC 7323 5.5)', () => {
    play(
      `
      +2100000 < P. 1:101(100) ack 1 win 512 <TS val 5 ecr t>
      +0.04 > .  1:1(0) ack 101 <TS val * ecr 5>
      +0    readable 100
    `,
      options,
    );
  });
});
