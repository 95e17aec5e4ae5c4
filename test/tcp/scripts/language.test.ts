/** The packet-script language itself: what it reads, and that a script that does not hold fails and says why. */
import { describe, expect, test } from 'vitest';
import { parseScript, ScriptError } from '../../support/packet-script/parse.ts';
import { play, ScriptFailure } from '../../support/packet-script/play.ts';

/** What a script that must not hold says. */
function failure(script: string): string {
  try {
    play(script);
  } catch (error) {
    expect(error).toBeInstanceOf(ScriptFailure);
    return (error as Error).message;
  }
  return 'it held';
}

describe('reading', () => {
  test('times, packets, options and comments', () => {
    const [line] = parseScript(
      '  +.25 < FP. 1:11(10) ack 3 win 7 urg 2 <mss 1460,sackOK,TS val a+5 ecr *,nop,wscale 7,sack 1:2 3:4,...> // why',
    );
    expect(line).toMatchObject({
      number: 1,
      afterUs: 250_000,
      beforeUs: 250_000,
      command: {
        kind: 'in',
        packet: {
          flags: 1 | 8 | 16,
          seq: 1,
          length: 10,
          ack: 3,
          win: 7,
          urg: 2,
          options: {
            mss: 1460,
            sackPermitted: true,
            windowScale: 7,
            timestamps: { val: { name: 'a', plus: 5 }, ecr: '*' },
            sack: [
              [1, 2],
              [3, 4],
            ],
            isOpen: true,
          },
        },
      },
    });
  });

  test('a line that makes no sense is refused with its number and what was expected', () => {
    for (const [line, expected] of [
      ['state CLOSED', 'expected "+SECONDS COMMAND"'],
      ['+0 dance', 'expected <, >, app'],
      ['+0 < Q 0:0(0)', 'is no packet'],
      ['+0 < . 0:5(4)', '0:5 is not 4 bytes'],
      ['+0 < . 0:0(0) <mss>', '"mss" is no option'],
      ['+0 < . 0:0(0) <sack 5>', '"5" is no SACK block'],
      ['+0 app jump', 'expected app listen'],
      ['+0 app write many', 'expected a number and found many'],
      ['+0 check cWnd is 5', 'expected check NAME == N'],
      ['+3..1 nothing', 'is empty'],
      ['+0 icmp loud', 'expected icmp hard'],
    ] as const) {
      expect(() => parseScript(`+0 nothing\n${line}`), line).toThrow(ScriptError);
      expect(() => parseScript(`+0 nothing\n${line}`), line).toThrow(`script line 2: ${line}`);
      expect(() => parseScript(`+0 nothing\n${line}`), line).toThrow(expected);
    }
  });
});

describe('playing', () => {
  test('a packet that no line expects fails at the next line and is shown', () => {
    const said = failure(`
      +0 app write 10
      +0 nothing
    `);
    expect(said).toContain('script line 3');
    expect(said).toContain('what no line expects');
    expect(said).toContain('> P. 1:11(10) ack 1');
  });

  test('a packet that no line expects fails also at the end, however late it would come', () => {
    expect(failure('+0 app write 10')).toContain('end of the script');
    expect(failure('+0 < P. 1:11(10) ack 1\n+0.5 state ESTABLISHED')).toContain('what no line expects');
  });

  test('a packet that does not come, another packet, and a packet at another time are told apart', () => {
    expect(failure('+0 > . 1:1(0) ack 1')).toContain('nothing was sent by');
    const other = failure('+0 app write 10\n+0 > . 1:12(11) ack 2 win 7 <mss 5>');
    for (const what of [
      'flags P. instead of .',
      '10 bytes instead of 11',
      'acknowledges 1 instead of 2',
      'window',
      'mss 0 instead of 5',
    ]) {
      expect(other).toContain(what);
    }
    expect(failure('+0 app write 10\n+0.1 > P. 1:11(10) ack 1')).toContain('sent at 0.010000 instead of at 0.110000');
  });

  test('states, effects, bytes and variables are compared', () => {
    expect(failure('+0 state CLOSED')).toContain('the state is ESTABLISHED');
    expect(failure('+0 effects ABORTED')).toContain('the effects since the last such line are: none');
    expect(failure('+0 readable 5')).toContain('readable bytes: 0 instead of 5');
    expect(failure('+0 completed 5')).toContain('completed bytes: 0 instead of 5');
    expect(failure('+0 check cWnd == 5')).toContain('cWnd is 14600');
    expect(failure('+0 check love == 5')).toContain('"love" is no variable');
  });

  test('options are compared only where they are given, and all of them where the list is closed', () => {
    play('+0 app write 10\n+0 > P. 1:11(10) ack 1');
    play('+0 < . 5:6(1) ack 1\n+0 > . 1:1(0) ack 1 <...>');
    expect(failure('+0 < . 5:6(1) ack 1\n+0 > . 1:1(0) ack 1 <>')).toContain('sack 5:6 instead of none');
  });
});
