/**
 * Plays a packet script against the engine under virtual time.
 *
 * Everything the engine sends must stand in the script, and nothing else may: a segment that no line expects fails the script at
 * the next line. A script that does not begin with `app listen` or `app connect` begins with an established connection, both
 * sequence numbers at 1. Failures show the line, what was expected, what was seen, and the packets before.
 */
import type { Seq } from '../../../src/base/seq.ts';
import { VirtualRuntime } from '../../../src/base/virtual-runtime.ts';
import { TcpCachedFlag } from '../../../src/state/tcp.ts';
import { Effect } from '../../../src/tcp/effects.ts';
import { onIcmpError, onPathMtu } from '../../../src/tcp/icmp.ts';
import { effectNames, tcpStateName } from '../../../src/tcp/names.ts';
import { type TcpParameters, tcpParameters } from '../../../src/tcp/parameters.ts';
import { TcpSegment } from '../../../src/wire/tcp-segment.ts';
import { DEFAULT_IRS, DEFAULT_ISS, ScriptEndpoint, type Sent } from './endpoint.ts';
import { type Command, type Operator, parseScript, type ScriptLine } from './parse.ts';
import { differences, fillSegment, type Names, type PacketSpec, segmentText } from './segment-text.ts';

export interface PlayOptions {
  /** Changes to the engine's parameters. Without: no segments acknowledged at once at the start, no tail loss probes. */
  readonly parameters?: Partial<TcpParameters>;
  /** Default 65535. */
  readonly receiveBuffer?: number;
  /** MSS we announce; default 1460. */
  readonly localMss?: number;
  readonly iss?: Seq;
  readonly irs?: Seq;
  /** Segments that one nextSegment may take together; default 1. */
  readonly tsoSegments?: number;
  /** Nagle's algorithm off. */
  readonly noDelay?: boolean;
  /** How far from its moment an expected packet may be sent where the line names a delay; default 2 ms. */
  readonly toleranceMs?: number;
  /** Played first unless the script opens the connection itself; default: a passive open without timestamps. */
  readonly handshake?: string;
}

/** The peer's MSS is 1460, it permits SACK, its window is not scaled. */
export const DEFAULT_HANDSHAKE = `
  +0    app listen
  +0    < S  0:0(0) win 65535 <mss 1460,sackOK>
  +0    > S. 0:0(0) ack 1 <mss 1460,sackOK>
  +0.01 < .  1:1(0) ack 1 win 65535
  +0    effects CONNECTED
`;

/** With timestamps (the peer's clock at 1000) and both windows scaled by 7. */
export const FULL_HANDSHAKE = `
  +0    app listen
  +0    < S  0:0(0) win 65535 <mss 1460,sackOK,TS val 1000 ecr 0,nop,wscale 7>
  +0    > S. 0:0(0) ack 1 <mss 1460,sackOK,TS val t ecr 1000,...>
  +0.01 < .  1:1(0) ack 1 win 512 <nop,nop,TS val 1010 ecr t>
  +0    effects CONNECTED
`;

/** A script that does not hold. */
export class ScriptFailure extends Error {
  override readonly name: string = 'ScriptFailure';
}

/** Plays; throws {@link ScriptFailure}. Answers the endpoint for what a script cannot ask. */
export function play(script: string, options: PlayOptions = {}): ScriptEndpoint {
  const lines = parseScript(script);
  const first = lines[0]?.command;
  const opensItself = first?.kind === 'app' && (first.call === 'listen' || first.call === 'connect');
  const player = new Player(options);
  if (!opensItself) player.run(parseScript(options.handshake ?? DEFAULT_HANDSHAKE), 'handshake');
  player.run(lines, 'script');
  player.end();
  return player.endpoint;
}

class Player {
  readonly endpoint: ScriptEndpoint;
  readonly #runtime = new VirtualRuntime();
  readonly #parameters: TcpParameters;
  readonly #iss: Seq;
  readonly #irs: Seq;
  readonly #toleranceUs: number;
  readonly #names: Names = new Map();
  readonly #log: string[] = [];
  readonly #startUs: number;
  #logged = 0;
  #lineUs: number;
  #where = '';

  constructor(options: PlayOptions) {
    this.#iss = options.iss ?? DEFAULT_ISS;
    this.#irs = options.irs ?? DEFAULT_IRS;
    this.#toleranceUs = (options.toleranceMs ?? 2) * 1000;
    this.#startUs = this.#runtime.nowUs();
    this.#lineUs = this.#startUs;
    this.#parameters = tcpParameters({ quickAckSegments: 0, tailLossProbe: false, ...options.parameters });
    this.endpoint = new ScriptEndpoint(this.#runtime, {
      parameters: this.#parameters,
      iss: this.#iss,
      irs: this.#irs,
      receiveBuffer: options.receiveBuffer ?? 65535,
      localMss: options.localMss ?? 1460,
      tsoSegments: options.tsoSegments ?? 1,
      isNoDelay: options.noDelay ?? false,
    });
  }

  run(lines: readonly ScriptLine[], name: string): void {
    for (const line of lines) {
      this.#where = `${name} line ${line.number}: ${line.text}`;
      try {
        this.#play(line);
      } catch (error) {
        if (error instanceof ScriptFailure) throw error;
        this.#fail((error as Error).message, error);
      }
    }
  }

  /** Nothing may be left. */
  end(): void {
    this.#where = 'end of the script';
    this.#nothingSent();
    const { c } = this.endpoint;
    if (tcpStateName(c.state) === 'CLOSED' && this.#parameters.spares.textPool.pagesHeld > 0) {
      this.#fail('a closed connection still holds memory of the reassembler');
    }
  }

  #play(line: ScriptLine): void {
    const command = line.command;
    if (command.kind === 'out') {
      this.#expect(line, command.packet);
      return;
    }
    const atUs = this.#lineUs + line.afterUs;
    this.#advanceTo(atUs, line.afterUs > 0);
    if (command.kind === 'nothing' || command.kind === 'in' || command.kind === 'app') this.#nothingSent();
    this.#lineUs = atUs;
    this.#do(command);
    this.#runtime.settle();
    this.#note();
  }

  #do(command: Command): void {
    const endpoint = this.endpoint;
    switch (command.kind) {
      case 'in':
        this.#receive(command.packet);
        break;
      case 'app':
        this.#call(command);
        break;
      case 'set':
        this.#set(command.name, command.value);
        break;
      case 'icmp':
        this.#icmp(command);
        break;
      case 'state':
        this.#checkState(command.state);
        break;
      case 'readable':
        this.#equal('readable bytes', command.bytes, endpoint.readable);
        break;
      case 'completed':
        this.#equal('completed bytes', command.bytes, endpoint.completedBytes);
        break;
      case 'effects':
        this.#checkEffects(command.names);
        break;
      case 'check':
        this.#checkVariable(command.name, command.operator, command.value);
        break;
      default:
        break;
    }
  }

  #receive(packet: PacketSpec): void {
    const segment = new TcpSegment();
    fillSegment(packet, segment, this.#irs, this.#iss, this.#names);
    // A peer that says nothing of its window has room.
    if (packet.win === null) segment.window = 65535;
    this.#log.push(`${this.#time(this.#runtime.nowUs())} < ${segmentText(segment, this.#irs, this.#iss)}`);
    this.endpoint.receive(segment);
  }

  #call(command: Extract<Command, { kind: 'app' }>): void {
    const { call, bytes } = command;
    this.#log.push(`${this.#time(this.#runtime.nowUs())}   app ${call}${bytes > 0 ? ` ${bytes}` : ''}`);
    if (call === 'write' || call === 'read') this.endpoint[call](bytes);
    else this.endpoint[call]();
  }

  #set(name: string, value: number): void {
    const { c } = this.endpoint;
    if (name === 'nodelay') {
      c.cachedFlags =
        value !== 0 ? c.cachedFlags & ~TcpCachedFlag.NAGLING_ENABLED : c.cachedFlags | TcpCachedFlag.NAGLING_ENABLED;
    } else if (name === 'keepalive') {
      c.cachedFlags =
        value !== 0
          ? c.cachedFlags | TcpCachedFlag.KEEP_ALIVE_ENABLED
          : c.cachedFlags & ~TcpCachedFlag.KEEP_ALIVE_ENABLED;
    } else if (name in c) (c as unknown as Record<string, number>)[name] = value;
    else throw new Error(`"${name}" is no variable of the connection`);
  }

  #icmp(command: Extract<Command, { kind: 'icmp' }>): void {
    const { c } = this.endpoint;
    const nowUs = this.#runtime.nowUs();
    if (command.what === 'mtu') this.endpoint.obey(onPathMtu(c, this.#parameters, command.mtu, 20, nowUs));
    else this.endpoint.obey(onIcmpError(c, this.#parameters, command.what === 'hard', nowUs));
  }

  /** The next packet the engine sends is this one, and is sent when the line says. */
  #expect(line: ScriptLine, packet: PacketSpec): void {
    const tolerance = line.beforeUs > 0 ? this.#toleranceUs : 0;
    const earliest = this.#lineUs + line.afterUs - tolerance;
    const latest = this.#lineUs + line.beforeUs + tolerance;
    while (this.endpoint.outbox.length === 0 && this.#runtime.soonestUs <= latest) {
      this.#runtime.advance(Math.max(0, this.#runtime.soonestUs - this.#runtime.nowUs()));
    }
    this.#note();
    const sent = this.endpoint.outbox.shift();
    if (sent === undefined) {
      this.#fail(`nothing was sent by ${this.#time(latest)}`);
      return;
    }
    this.#logged = this.endpoint.outbox.length;
    const wrong = differences(packet, sent.segment, this.#iss, this.#irs, this.#names);
    if (wrong.length > 0) this.#fail(`${wrong.join(', ')}\n  seen: ${this.#sentText(sent)}`);
    if (sent.atUs < earliest || sent.atUs > latest) {
      const due =
        line.beforeUs > line.afterUs
          ? `between ${this.#time(earliest)} and ${this.#time(latest)}`
          : `at ${this.#time(this.#lineUs + line.afterUs)}`;
      this.#fail(`sent at ${this.#time(sent.atUs)} instead of ${due}\n  seen: ${this.#sentText(sent)}`);
    }
    this.#lineUs = Math.max(this.#lineUs, sent.atUs);
  }

  /** A line at the moment of the one before only lets what is under way come to rest. */
  #advanceTo(atUs: number, isLater: boolean): void {
    const nowUs = this.#runtime.nowUs();
    if (isLater && atUs > nowUs) this.#runtime.advance(atUs - nowUs);
    else this.#runtime.settle();
    this.#note();
  }

  #nothingSent(): void {
    const sent = this.endpoint.outbox[0];
    if (sent !== undefined) this.#fail(`the engine sent what no line expects: ${this.#sentText(sent)}`);
  }

  #checkState(wanted: string): void {
    const seen = tcpStateName(this.endpoint.c.state);
    const plain = (name: string): string =>
      name.toUpperCase().replaceAll(/[-_]/g, '').replace('SYNRCVD', 'SYNRECEIVED');
    if (this.endpoint.isListening ? plain(wanted) !== 'LISTEN' : plain(wanted) !== plain(seen)) {
      this.#fail(`the state is ${this.endpoint.isListening ? 'LISTEN' : seen}`);
    }
  }

  #checkEffects(names: readonly string[]): void {
    const seen = this.endpoint.effects;
    this.endpoint.effects = 0;
    for (const name of names) {
      const isAbsent = name.startsWith('!');
      const bit = Effect[(isAbsent ? name.slice(1) : name) as keyof typeof Effect];
      if (bit === undefined) throw new Error(`"${name}" is no effect`);
      if (((seen & bit) !== 0) === isAbsent)
        this.#fail(`the effects since the last such line are: ${effectNames(seen) || 'none'}`);
    }
  }

  #checkVariable(name: string, operator: Operator, wanted: number): void {
    const seen = (this.endpoint.c as unknown as Record<string, unknown>)[name];
    if (typeof seen !== 'number') throw new Error(`"${name}" is no variable of the connection`);
    const holds = {
      '==': seen === wanted,
      '!=': seen !== wanted,
      '<=': seen <= wanted,
      '>=': seen >= wanted,
      '<': seen < wanted,
      '>': seen > wanted,
    };
    if (!holds[operator]) this.#fail(`${name} is ${seen}`);
  }

  #equal(what: string, wanted: number, seen: number): void {
    if (wanted !== seen) this.#fail(`${what}: ${seen} instead of ${wanted}`);
  }

  /** Writes newly sent packets into the log. */
  #note(): void {
    const { outbox } = this.endpoint;
    for (; this.#logged < outbox.length; this.#logged++) this.#log.push(this.#sentText(outbox[this.#logged]!));
  }

  #sentText(sent: Sent): string {
    return `${this.#time(sent.atUs)} > ${segmentText(sent.segment, this.#iss, this.#irs)}`;
  }

  #time(us: number): string {
    return `${((us - this.#startUs) / 1_000_000).toFixed(6)}`;
  }

  #fail(what: string, cause?: unknown): never {
    this.#note();
    const before = this.#log.slice(-12).map((text) => `    ${text}`);
    throw new ScriptFailure(
      `${this.#where}\n  ${what}\n  what went by, seconds since the start:\n${before.join('\n')}`,
      { cause },
    );
  }
}
