/**
 * One packet of a script, as text: `S. 0:0(0) ack 1 win 65535 <mss 1460,sackOK,TS val 1 ecr 0,nop,wscale 7>`.
 *
 * Numbers are relative: a sequence number counts from its sender's ISN, an acknowledgment number (and a SACK edge) from the
 * receiver's. `a:b(len)` leaves SYN and FIN out of b and len, as packetdrill has it.
 */
import { asSeq, type Seq, seqAdd, seqDiff } from '../../../src/base/seq.ts';
import { TcpFlag, type TcpSegment } from '../../../src/wire/tcp-segment.ts';

/** A number, a name that is bound by its first use, a name and an offset (`t+10`), or `*`: anything. */
export type Value = number | { readonly name: string; readonly plus: number } | '*';

export interface OptionsSpec {
  readonly mss?: number;
  readonly windowScale?: number;
  readonly sackPermitted?: true;
  readonly timestamps?: { readonly val: Value; readonly ecr: Value };
  readonly sack?: readonly (readonly [left: number, right: number])[];
  /** `...`: there may be others. */
  readonly isOpen: boolean;
}

export interface PacketSpec {
  readonly flags: number;
  readonly seq: number;
  readonly length: number;
  readonly ack: number | null;
  readonly win: number | null;
  readonly urg: number | null;
  /** ECN field of the IP header: 0 to 3. */
  readonly ecn: number | null;
  readonly options: OptionsSpec | null;
}

/** Values by name, shared by all packets of a script. */
export type Names = Map<string, number>;

const LETTERS: readonly (readonly [letter: string, flag: number])[] = [
  ['F', TcpFlag.FIN],
  ['S', TcpFlag.SYN],
  ['R', TcpFlag.RST],
  ['P', TcpFlag.PSH],
  ['.', TcpFlag.ACK],
  ['U', TcpFlag.URG],
  ['E', TcpFlag.ECE],
  ['W', TcpFlag.CWR],
];

const PACKET = /^([FSRP.UEW]+)\s+(-?\d+):(-?\d+)\((\d+)\)((?:\s+(?:ack|win|urg|ecn)\s+-?\d+)*)\s*(?:<([^>]*)>)?$/;

/** Reads a packet; throws an Error that says what was expected. */
export function parsePacket(text: string): PacketSpec {
  const match = PACKET.exec(text.trim());
  if (match === null)
    throw new Error(
      `"${text}" is no packet; expected FLAGS first:last(length) [ack N] [win N] [urg N] [ecn N] [<options>]`,
    );
  const [, letters, first, last, length, rest, options] = match;
  if (Number(last) - Number(first) !== Number(length)) throw new Error(`${first}:${last} is not ${length} bytes`);
  let flags = 0;
  for (const letter of letters!) flags |= LETTERS.find((one) => one[0] === letter)![1];
  const field = (name: string): number | null => {
    const found = new RegExp(`\\b${name}\\s+(-?\\d+)`).exec(rest!);
    return found === null ? null : Number(found[1]);
  };
  return {
    flags,
    seq: Number(first),
    length: Number(length),
    ack: field('ack'),
    win: field('win'),
    urg: field('urg'),
    ecn: field('ecn'),
    options: options === undefined ? null : parseOptions(options),
  };
}

function parseOptions(text: string): OptionsSpec {
  const out: { -readonly [K in keyof OptionsSpec]: OptionsSpec[K] } = { isOpen: false };
  for (const option of text.split(',').map((one) => one.trim())) {
    const words = option.split(/\s+/);
    if (option === '' || option === 'nop' || option === 'eol') continue;
    if (option === '...') out.isOpen = true;
    else if (option === 'sackOK') out.sackPermitted = true;
    else if (words[0] === 'mss' && words.length === 2) out.mss = Number(words[1]);
    else if (words[0] === 'wscale' && words.length === 2) out.windowScale = Number(words[1]);
    else if (words[0] === 'TS' && words[1] === 'val' && words[3] === 'ecr' && words.length === 5) {
      out.timestamps = { val: parseValue(words[2]!), ecr: parseValue(words[4]!) };
    } else if (words[0] === 'sack' && words.length > 1) out.sack = words.slice(1).map(parseEdges);
    else
      throw new Error(
        `"${option}" is no option; expected mss N, wscale N, sackOK, TS val A ecr B, sack a:b c:d, nop or ...`,
      );
  }
  return out;
}

function parseEdges(text: string): readonly [number, number] {
  const match = /^(-?\d+):(-?\d+)$/.exec(text);
  if (match === null) throw new Error(`"${text}" is no SACK block; expected left:right`);
  return [Number(match[1]), Number(match[2])];
}

function parseValue(text: string): Value {
  if (text === '*') return '*';
  if (/^\d+$/.test(text)) return Number(text);
  const match = /^([a-z]\w*)(?:([+-]\d+))?$/i.exec(text);
  if (match === null) throw new Error(`"${text}" is no value; expected a number, a name, a name with an offset, or *`);
  return { name: match[1]!, plus: Number(match[2] ?? 0) };
}

/** Writes a packet that the script sends into `out`. `seqBase` and `ackBase`: ISN of its sender and of its receiver. */
export function fillSegment(spec: PacketSpec, out: TcpSegment, seqBase: Seq, ackBase: Seq, names: Names): void {
  out.clearOptions();
  out.seq = seqAdd(seqBase, spec.seq);
  out.ack = spec.ack === null ? asSeq(0) : seqAdd(ackBase, spec.ack);
  out.flags = spec.flags;
  out.window = spec.win ?? 0;
  out.urgentPointer = spec.urg ?? 0;
  out.ecn = spec.ecn ?? 0;
  out.textLength = spec.length;
  const options = spec.options;
  if (options === null) return;
  out.mss = options.mss ?? 0;
  out.windowScale = options.windowScale ?? -1;
  out.sackPermitted = options.sackPermitted ?? false;
  if (options.timestamps !== undefined) {
    out.hasTimestamps = true;
    out.tsVal = resolve(options.timestamps.val, names);
    out.tsEcr = resolve(options.timestamps.ecr, names);
  }
  for (const [left, right] of options.sack ?? []) {
    out.sackEdges[2 * out.sackCount] = seqAdd(ackBase, left);
    out.sackEdges[2 * out.sackCount + 1] = seqAdd(ackBase, right);
    out.sackCount++;
  }
}

/** The number a value stands for in a packet that is to be made. */
function resolve(value: Value, names: Names): number {
  if (value === '*') throw new Error('* has no value in a packet that the script sends');
  if (typeof value === 'number') return value;
  const bound = names.get(value.name);
  if (bound === undefined) throw new Error(`"${value.name}" has no value yet: it gets one where the engine sends it`);
  return (bound + value.plus) >>> 0;
}

/** Compares what the engine sent with what the script expects; answers what differs, in words, or an empty list. */
export function differences(spec: PacketSpec, seen: TcpSegment, seqBase: Seq, ackBase: Seq, names: Names): string[] {
  const out: string[] = [];
  if (seen.flags !== spec.flags) out.push(`flags ${flagsText(seen.flags)} instead of ${flagsText(spec.flags)}`);
  const seq = seqDiff(seen.seq, seqBase);
  if (seq !== spec.seq) out.push(`sequence number ${seq} instead of ${spec.seq}`);
  if (seen.textLength !== spec.length) out.push(`${seen.textLength} bytes instead of ${spec.length}`);
  const ack = seqDiff(seen.ack, ackBase);
  if (spec.ack !== null && ack !== spec.ack) out.push(`acknowledges ${ack} instead of ${spec.ack}`);
  if (spec.win !== null && seen.window !== spec.win) out.push(`window ${seen.window} instead of ${spec.win}`);
  if (spec.urg !== null && seen.urgentPointer !== spec.urg)
    out.push(`urgent pointer ${seen.urgentPointer} instead of ${spec.urg}`);
  if (spec.ecn !== null && seen.ecn !== spec.ecn) out.push(`ECN field ${seen.ecn} instead of ${spec.ecn}`);
  if (spec.options !== null) optionDifferences(spec.options, seen, ackBase, names, out);
  return out;
}

function optionDifferences(spec: OptionsSpec, seen: TcpSegment, ackBase: Seq, names: Names, out: string[]): void {
  const isJudged = (given: unknown): boolean => given !== undefined || !spec.isOpen;
  if (isJudged(spec.mss) && seen.mss !== (spec.mss ?? 0)) out.push(`mss ${seen.mss} instead of ${spec.mss ?? 'none'}`);
  if (isJudged(spec.windowScale) && seen.windowScale !== (spec.windowScale ?? -1)) {
    out.push(`wscale ${seen.windowScale} instead of ${spec.windowScale ?? 'none'}`);
  }
  if (isJudged(spec.sackPermitted) && seen.sackPermitted !== (spec.sackPermitted ?? false)) {
    out.push(`${seen.sackPermitted ? '' : 'no '}sackOK`);
  }
  if (isJudged(spec.timestamps) && seen.hasTimestamps !== (spec.timestamps !== undefined)) {
    out.push(`${seen.hasTimestamps ? '' : 'no '}timestamps`);
  } else if (spec.timestamps !== undefined) {
    matchValue('TS val', spec.timestamps.val, seen.tsVal >>> 0, names, out);
    matchValue('TS ecr', spec.timestamps.ecr, seen.tsEcr >>> 0, names, out);
  }
  const wanted = (spec.sack ?? []).map((edges) => edges.join(':')).join(' ');
  const blocks = sackText(seen, ackBase);
  if (isJudged(spec.sack) && blocks !== wanted) out.push(`sack ${blocks || 'none'} instead of ${wanted || 'none'}`);
}

function matchValue(what: string, value: Value, seen: number, names: Names, out: string[]): void {
  if (value === '*') return;
  if (typeof value === 'number') {
    if (seen !== value) out.push(`${what} ${seen} instead of ${value}`);
    return;
  }
  const bound = names.get(value.name);
  if (bound === undefined) names.set(value.name, (seen - value.plus) >>> 0);
  else if ((bound + value.plus) >>> 0 !== seen) out.push(`${what} ${seen} instead of ${(bound + value.plus) >>> 0}`);
}

/** A packet as the script would write it. */
export function segmentText(seg: TcpSegment, seqBase: Seq, ackBase: Seq): string {
  const seq = seqDiff(seg.seq, seqBase);
  let text = `${flagsText(seg.flags)} ${seq}:${seq + seg.textLength}(${seg.textLength})`;
  if ((seg.flags & TcpFlag.ACK) !== 0) text += ` ack ${seqDiff(seg.ack, ackBase)}`;
  text += ` win ${seg.window}`;
  if ((seg.flags & TcpFlag.URG) !== 0) text += ` urg ${seg.urgentPointer}`;
  if (seg.ecn !== 0) text += ` ecn ${seg.ecn}`;
  const options: string[] = [];
  if (seg.mss !== 0) options.push(`mss ${seg.mss}`);
  if (seg.sackPermitted) options.push('sackOK');
  if (seg.hasTimestamps) options.push(`TS val ${seg.tsVal >>> 0} ecr ${seg.tsEcr >>> 0}`);
  if (seg.windowScale >= 0) options.push(`wscale ${seg.windowScale}`);
  if (seg.sackCount > 0) options.push(`sack ${sackText(seg, ackBase)}`);
  return options.length === 0 ? text : `${text} <${options.join(',')}>`;
}

function sackText(seg: TcpSegment, base: Seq): string {
  const blocks: string[] = [];
  for (let i = 0; i < seg.sackCount; i++) {
    blocks.push(`${seqDiff(asSeq(seg.sackEdges[2 * i]!), base)}:${seqDiff(asSeq(seg.sackEdges[2 * i + 1]!), base)}`);
  }
  return blocks.join(' ');
}

export function flagsText(flags: number): string {
  return LETTERS.map(([letter, flag]) => ((flags & flag) !== 0 ? letter : '')).join('') || 'none';
}
