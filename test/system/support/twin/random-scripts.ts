/**
 * Scripts by lot: text in every order, ends, resets, SYNs, acknowledgments of what was and what was not, applications that read or do not.
 *
 * What is drawn are small numbers; a model of what the subject must have by now turns them into segments around its RCV.NXT and SND.NXT, so that
 * most of them mean something, and a script with some of its operations taken out (shrinking) is a script still. What the subject sends is
 * acknowledged by the next segment: no timer has anything to do.
 */
import fc from 'fast-check';
import type { Script } from './script.ts';

type Draw =
  | {
      readonly op: 'text';
      readonly off: number;
      readonly length: number;
      readonly ack: AckKind;
      readonly flags: string;
    }
  | { readonly op: 'bare'; readonly off: number; readonly ack: AckKind }
  | { readonly op: 'reset' | 'syn'; readonly off: number; readonly ack: boolean }
  | { readonly op: 'write'; readonly length: number }
  | { readonly op: 'call'; readonly call: 'shutdown' | 'close' | 'hold' | 'read' | 'abort' };

/** What a segment acknowledges: all there is, a little less, more than there is, far too little. */
type AckKind = 'all' | 'less' | 'more' | 'ancient';

/** Of a timestamp: the next, the same, an older one. */
type Time = 'next' | 'same' | 'old';

const ackKind: fc.Arbitrary<AckKind> = fc.oneof(
  { weight: 12, arbitrary: fc.constant<AckKind>('all') },
  { weight: 1, arbitrary: fc.constantFrom<AckKind>('less', 'more', 'ancient') },
);
const offset: fc.Arbitrary<number> = fc.oneof(
  { weight: 5, arbitrary: fc.constant(0) },
  { weight: 4, arbitrary: fc.integer({ min: -40, max: 60 }) },
);
const draw: fc.Arbitrary<Draw> = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.record({
      op: fc.constant('text' as const),
      off: offset,
      length: fc.integer({ min: 0, max: 50 }),
      ack: ackKind,
      flags: fc.oneof(
        { weight: 8, arbitrary: fc.constant('P.') },
        { weight: 2, arbitrary: fc.constantFrom('F.', 'FP.', 'U.', '.') },
        { weight: 1, arbitrary: fc.constantFrom('P', 'F', 'FPU.') },
      ),
    }),
  },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('bare' as const), off: offset, ack: ackKind }) },
  {
    weight: 1,
    arbitrary: fc.record({
      op: fc.constantFrom('reset' as const, 'syn' as const),
      off: fc.oneof(offset, fc.constantFrom(-1, 3_000_000, -3_000_000)),
      ack: fc.boolean(),
    }),
  },
  { weight: 3, arbitrary: fc.record({ op: fc.constant('write' as const), length: fc.integer({ min: 1, max: 3000 }) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      op: fc.constant('call' as const),
      call: fc.constantFrom('shutdown' as const, 'close' as const, 'hold' as const, 'read' as const, 'abort' as const),
    }),
  },
);

interface Lot {
  readonly options: 'none' | 'sack' | 'timestamps';
  readonly family: 4 | 6;
  readonly draws: readonly Draw[];
  readonly times: readonly Time[];
}

const OPENINGS: Readonly<Record<Lot['options'], readonly string[]>> = {
  none: ['< S 0:0(0) win 65535 <mss 1000>', '< . 1:1(0) ack 1'],
  sack: ['< S 0:0(0) win 65535 <mss 1000,sackOK>', '< . 1:1(0) ack 1'],
  timestamps: [
    '< S 0:0(0) win 65535 <mss 1000,sackOK,TS val 1000 ecr 0,wscale 3>',
    '< . 1:1(0) ack 1 win 8000 <TS val 1000 ecr last>',
  ],
};

/** A script by lot; the name says the lot. */
export const randomScript: fc.Arbitrary<Script> = fc
  .record({
    options: fc.constantFrom('none' as const, 'sack' as const, 'timestamps' as const),
    family: fc.constantFrom(4 as const, 6 as const),
    draws: fc.array(draw, { minLength: 1, maxLength: 14 }),
    times: fc.array(
      fc.oneof(
        { weight: 10, arbitrary: fc.constant<Time>('next') },
        { weight: 1, arbitrary: fc.constantFrom<Time>('same', 'old') },
      ),
      { minLength: 14, maxLength: 14 },
    ),
  })
  .map(scriptOf);

function scriptOf({ options, family, draws, times }: Lot): Script {
  const model = new Model(options === 'timestamps');
  const steps = [...OPENINGS[options], ...draws.map((one, i) => model.step(one, times[i]!))];
  return { name: `by lot, ${options}`, family, steps };
}

/** Calls of the application in a row with something in flight. */
const CALLS_MAX = 1;

/** What the subject must have: enough to aim at. */
class Model {
  readonly #hasTimestamps: boolean;
  #time = 1000;
  /** What has come of our stream, by number; our FIN at its number. */
  readonly #came = new Set<number>();
  #rcvNxt = 1;
  #sndNxt = 1;
  #acked = 1;
  /** Where our stream ends; how far it was sent. */
  #fin: number = Number.POSITIVE_INFINITY;
  #furthest = 1;
  #calls = 0;
  #isShut = false;
  #wasReset = false;

  constructor(hasTimestamps: boolean) {
    this.#hasTimestamps = hasTimestamps;
  }

  step(draw: Draw, time: Time): string {
    // What is in flight is acknowledged first: nothing is sent again while a script goes on.
    const isCall = draw.op === 'write' || draw.op === 'call';
    if (this.#acked < this.#sndNxt && !(isCall && this.#calls++ < CALLS_MAX)) {
      this.#calls = 0;
      return this.#segment('.', 0, 0, 'all', 'next');
    }
    switch (draw.op) {
      case 'write':
        if (!this.#isShut) this.#sndNxt += draw.length;
        return `write ${draw.length}`;
      case 'call':
        if ((draw.call === 'shutdown' || draw.call === 'close') && !this.#isShut) {
          this.#isShut = true;
          this.#sndNxt++;
        }
        this.#wasReset ||= draw.call === 'abort';
        return draw.call;
      case 'reset':
        this.#wasReset ||= draw.off === 0;
        return this.#segment(draw.ack ? 'R.' : 'R', draw.off, 0, 'all', 'next');
      case 'syn':
        // Where there is no connection any more it would begin another one.
        if (this.#wasReset) return this.#segment('.', draw.off, 0, 'all', 'next');
        return this.#segment(draw.ack ? 'S.' : 'S', draw.off, 0, 'all', 'next');
      case 'bare':
        return this.#segment('.', draw.off, 0, draw.ack, time);
      case 'text':
        return this.#segment(draw.flags, draw.off, draw.length, draw.ack, time);
    }
  }

  /** What is after the end of our stream, or an end before what was sent, is left out: no peer contradicts itself so. */
  #consistent(flags: string, seq: number, length: number): [flags: string, length: number] {
    const fits = Math.max(0, Math.min(length, this.#fin - seq));
    const end = seq + fits;
    if (!flags.includes('F') || end < this.#furthest || (this.#fin < Number.POSITIVE_INFINITY && end !== this.#fin)) {
      this.#furthest = Math.max(this.#furthest, end);
      return [flags.replace('F', '') || 'P', fits];
    }
    this.#fin = this.#furthest = end;
    return [flags, fits];
  }

  #segment(wanted: string, off: number, most: number, kind: AckKind, at: Time): string {
    const seq = this.#rcvNxt + off;
    const time = this.#hasTimestamps ? at : 'next';
    const isText = !/[RS]/.test(wanted);
    const [flags, length] = isText ? this.#consistent(wanted, seq, most) : [wanted, most];
    if (time === 'next') this.#time++;
    const hasAck = flags.includes('.');
    const acks = {
      all: this.#sndNxt,
      less: Math.max(1, this.#sndNxt - 1),
      more: this.#sndNxt + 1,
      ancient: this.#sndNxt - 200_000,
    };
    const isNew = off >= 0 || off + length > 0;
    if (hasAck && isNew && kind === 'all' && time !== 'old' && !/[RS]/.test(flags)) this.#acked = this.#sndNxt;
    const isTaken = hasAck && (kind === 'all' || kind === 'less') && time !== 'old';
    if (isTaken && !/[RS]/.test(flags)) this.#take(seq, length + (flags.includes('F') ? 1 : 0));
    const ack = hasAck ? ` ack ${acks[kind]}` : '';
    const window = flags.includes('R') ? '' : ` win ${this.#hasTimestamps && !flags.includes('S') ? 8000 : 65535}`;
    const urgent = flags.includes('U') ? ' urg 3' : '';
    const stamp = this.#hasTimestamps ? ` <TS val ${this.#time - (time === 'old' ? 9 : 0)} ecr last>` : '';
    return `< ${flags} ${seq}:${seq + length}(${length})${ack}${window}${urgent}${stamp}`;
  }

  #take(seq: number, length: number): void {
    for (let i = Math.max(seq, this.#rcvNxt); i < seq + length; i++) this.#came.add(i);
    while (this.#came.has(this.#rcvNxt)) this.#rcvNxt++;
  }
}
