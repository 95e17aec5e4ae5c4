/** The receiving end of the demonstration's streams: it must see what is lost, repeated or changed, or its zeros mean nothing. */
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { pseudoRandom } from '../../apps/cli/demo/content.ts';
import { StreamCheck } from '../../apps/cli/demo/stream-check.ts';

const content = pseudoRandom(7, 'content', 5000);

function checked(pieces: readonly Uint8Array[]): StreamCheck {
  const check = new StreamCheck(content);
  for (const piece of pieces) check.add(piece);
  check.finish();
  return check;
}

const counts = (check: StreamCheck): number[] => [check.bytesReceived, check.bytesLost, check.bytesRepeated];

describe('a stream is checked byte by byte', () => {
  test('in whatever pieces it comes, a whole one has nothing lost and nothing repeated', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 700 }), { maxLength: 40 }), (sizes) => {
        const pieces: Buffer[] = [];
        let at = 0;
        for (const size of sizes) {
          pieces.push(content.subarray(at, at + size));
          at = Math.min(content.length, at + size);
        }
        pieces.push(content.subarray(at));
        const check = checked(pieces);
        expect(counts(check)).toEqual([5000, 0, 0]);
        expect(check.finish()).toBe(createHash('sha256').update(content).digest('hex'));
      }),
    );
  });

  test('bytes left out are lost, wherever the pieces end', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 4000 }),
        fc.integer({ min: 1, max: 900 }),
        fc.integer({ min: 1, max: 99 }),
        (at, missing, piece) => {
          const rest = content.subarray(at + missing);
          const pieces = [content.subarray(0, at)];
          for (let i = 0; i < rest.length; i += piece) pieces.push(rest.subarray(i, i + piece));
          expect(counts(checked(pieces))).toEqual([5000 - missing, missing, 0]);
        },
      ),
    );
  });

  test('bytes that come again are repeated', () => {
    fc.assert(
      fc.property(fc.integer({ min: 40, max: 4900 }), fc.integer({ min: 1, max: 40 }), (at, again) => {
        const check = checked([content.subarray(0, at), content.subarray(at - again)]);
        expect(counts(check)).toEqual([5000 + again, 0, again]);
      }),
    );
  });

  test('what is missing at the end is lost, what comes behind the end is repeated', () => {
    expect(counts(checked([content.subarray(0, 4321)]))).toEqual([4321, 679, 0]);
    expect(counts(checked([content, content.subarray(4990)]))).toEqual([5010, 0, 10]);
    expect(counts(checked([]))).toEqual([0, 5000, 0]);
  });

  test('a changed byte is lost, and only that one', () => {
    const changed = Buffer.from(content);
    changed[1234]! ^= 1;
    expect(counts(checked([changed.subarray(0, 2000), changed.subarray(2000)]))).toEqual([5000, 1, 0]);
  });

  test('a stream of something else altogether is all lost', () => {
    const check = checked([pseudoRandom(8, 'other', 5000)]);
    expect(check.bytesLost).toBeGreaterThan(4900);
  });
});
