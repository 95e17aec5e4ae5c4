/**
 * A TCP under examination: something that takes packets, answers packets, and has an application on top.
 *
 * A script is played to several subjects, the kernel's TCP and ours in each of its places, and what they answer is compared. Everything here
 * is synchronous but moves: a packet goes in, and what it caused has come out when the call returns.
 */

/** Addresses of the subject, and of the peer that the script plays. */
export const SUBJECT4 = '10.209.0.1';
export const PEER4 = '10.209.0.2';
export const SUBJECT6 = 'fd00:209::1';
export const PEER6 = 'fd00:209::2';
/** A router on the way, where ICMP errors come from. */
export const ROUTER4 = '10.209.0.9';
export const ROUTER6 = 'fd00:209::9';

export type Family = 4 | 6;

export interface SubjectOptions {
  readonly family: Family;
  readonly receiveBuffer?: number;
}

/** One connection (and its listener) of a subject. */
export interface Application {
  listen(port: number): void;
  unlisten(): void;
  connect(localPort: number, remotePort: number): void;
  /** Bytes of the pattern, behind those written before. */
  write(bytes: number): void;
  shutdown(): void;
  close(): void;
  abort(): void;
  /** From now on nothing is read, or everything. */
  holdReading(isHeld: boolean): void;
  /** What the application has seen of the stream: 'read 10', 'read 10 end', 'read 10 ECONNRESET'. */
  seen(): string;
  /** RFC 9293's name of the state; '-': there is no connection; '?': that cannot be told. */
  state(): string;
}

/** Whoever has the TCP that is examined. */
export interface Subject {
  readonly name: string;
  /** Begins a script. */
  open(options: SubjectOptions): Application;
  /** Ends it; nothing of it is left. */
  close(): void | Promise<void>;
  /** A packet arrives; answers what was sent at once. */
  exchange(packet: Uint8Array): Uint8Array[];
  /** What was sent since, for whatever reason. */
  collect(): Uint8Array[];
  /** Time for what is owed: delayed ACKs. */
  ripen(): Uint8Array[];
  /** Hands the connection over, where the subject is one that does so. Called between two steps. */
  move?(): Promise<void>;
  /** Takes everything down. */
  dispose(): void;
}
