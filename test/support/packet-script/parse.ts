/**
 * The packet-script language: packetdrill's, cut down to what one engine needs.
 *
 *   +0      app connect                         the application calls; also listen, write N, read N, close, abort
 *   +0      >  S  0:0(0) <mss 1460,...>         the engine sends this, now
 *   +0.1    <  S. 0:0(0) ack 1 win 65535        this arrives, 0.1 s after the line before
 *   +0.2    >  .  1:1(0) ack 1001               the engine sends this after 0.2 s, give or take the tolerance
 *   +1..3   >  .  1:1(0) ack 1001               ... after 1 to 3 s
 *   +0      state ESTABLISHED                   also: nothing, readable N, completed N, effects NAMES, check NAME == N
 *
 * Times are seconds after the line before (after the moment at which an expected packet was really sent). `//` begins a comment.
 */
import { type PacketSpec, parsePacket } from './segment-text.ts';

export type Command =
  | { readonly kind: 'in' | 'out'; readonly packet: PacketSpec }
  | { readonly kind: 'app'; readonly call: AppCall; readonly bytes: number }
  | { readonly kind: 'set'; readonly name: string; readonly value: number }
  | { readonly kind: 'icmp'; readonly what: 'hard' | 'soft' | 'mtu'; readonly mtu: number }
  | { readonly kind: 'state'; readonly state: string }
  | { readonly kind: 'nothing' }
  | { readonly kind: 'readable' | 'completed'; readonly bytes: number }
  | { readonly kind: 'effects'; readonly names: readonly string[] }
  | { readonly kind: 'check'; readonly name: string; readonly operator: Operator; readonly value: number };

export type AppCall = 'listen' | 'connect' | 'write' | 'read' | 'close' | 'abort';
export type Operator = '==' | '!=' | '<=' | '>=' | '<' | '>';

export interface ScriptLine {
  /** Where it stands in the script, from 1. */
  readonly number: number;
  readonly text: string;
  /** Microseconds after the line before. */
  readonly afterUs: number;
  /** Latest moment for a packet that is expected; equal to `afterUs` where the line gave no range. */
  readonly beforeUs: number;
  readonly command: Command;
}

/** A script that cannot be read. */
export class ScriptError extends Error {
  override readonly name: string = 'ScriptError';
}

const LINE = /^\+(\d*\.?\d+)(?:\.\.(\d*\.?\d+))?\s+(\S.*)$/;

/** Reads a script; throws {@link ScriptError} with the line and what was expected there. */
export function parseScript(script: string): ScriptLine[] {
  const lines: ScriptLine[] = [];
  script.split('\n').forEach((raw, index) => {
    const text = raw.replace(/\/\/.*$/, '').trim();
    if (text === '') return;
    const match = LINE.exec(text);
    try {
      if (match === null) throw new Error('expected "+SECONDS COMMAND"');
      const afterUs = Math.round(Number(match[1]) * 1_000_000);
      const beforeUs = match[2] === undefined ? afterUs : Math.round(Number(match[2]) * 1_000_000);
      if (beforeUs < afterUs) throw new Error(`the range ${match[1]}..${match[2]} is empty`);
      lines.push({ number: index + 1, text, afterUs, beforeUs, command: parseCommand(match[3]!) });
    } catch (error) {
      throw new ScriptError(`script line ${index + 1}: ${text}\n  ${(error as Error).message}`);
    }
  });
  return lines;
}

function parseCommand(text: string): Command {
  if (text.startsWith('<')) return { kind: 'in', packet: parsePacket(text.slice(1)) };
  if (text.startsWith('>')) return { kind: 'out', packet: parsePacket(text.slice(1)) };
  const words = text.split(/\s+/);
  switch (words[0]) {
    case 'app':
      return parseApp(words);
    case 'set':
      return { kind: 'set', name: required(words[1], 'a name'), value: count(words[2]) };
    case 'icmp':
      return parseIcmp(words);
    case 'state':
      return { kind: 'state', state: required(words[1], 'the name of a state') };
    case 'nothing':
      return { kind: 'nothing' };
    case 'readable':
    case 'completed':
      return { kind: words[0], bytes: count(words[1]) };
    case 'effects':
      return { kind: 'effects', names: words.slice(1) };
    case 'check':
      return parseCheck(words);
    default:
      throw new Error('expected <, >, app, set, icmp, state, nothing, readable, completed, effects or check');
  }
}

function parseApp(words: readonly string[]): Command {
  const call = words[1];
  if (call === 'write' || call === 'read') return { kind: 'app', call, bytes: count(words[2]) };
  if (call === 'listen' || call === 'connect' || call === 'close' || call === 'abort')
    return { kind: 'app', call, bytes: 0 };
  throw new Error('expected app listen, connect, write N, read N, close or abort');
}

function parseIcmp(words: readonly string[]): Command {
  const what = words[1];
  if (what === 'mtu') return { kind: 'icmp', what, mtu: count(words[2]) };
  if (what === 'hard' || what === 'soft') return { kind: 'icmp', what, mtu: 0 };
  throw new Error('expected icmp hard, soft or mtu N');
}

function parseCheck(words: readonly string[]): Command {
  const operator = words[2];
  const value = Number(words[3]);
  const isOperator =
    operator === '==' ||
    operator === '!=' ||
    operator === '<=' ||
    operator === '>=' ||
    operator === '<' ||
    operator === '>';
  if (!isOperator || !Number.isFinite(value)) throw new Error('expected check NAME == N (or !=, <=, >=, <, >)');
  return { kind: 'check', name: required(words[1], 'the name of a variable'), operator, value };
}

function required(word: string | undefined, what: string): string {
  if (word === undefined) throw new Error(`expected ${what}`);
  return word;
}

function count(word: string | undefined): number {
  if (word === undefined || !/^\d+$/.test(word)) throw new Error(`expected a number and found ${word ?? 'nothing'}`);
  return Number(word);
}
