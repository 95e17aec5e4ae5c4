/**
 * The last calls on something, with what was told in them: the history in a finding.
 *
 * Promises: twenty are kept; a call is noted as a few numbers, and becomes text only when somebody asks.
 */

import {
  DataOperation,
  ndisStatusName,
  TcpDisconnectFlag,
  TcpOffloadEventType,
  TcpUploadReason,
} from '../ndis/protocol.ts';

/** Calls remembered of each object. */
const CALLS_KEPT = 20;

/** What the two numbers of a call are. */
export const Told = {
  NOTHING: 0,
  /** Blocks of the tree. */
  BLOCKS: 1,
  /** An NDIS status. */
  STATUS: 2,
  /** Lists and their bytes. */
  LISTS: 3,
  /** An NDIS status and bytes transferred. */
  RESULT: 4,
  /** Flags of a disconnect, and its bytes. */
  DISCONNECT: 5,
  /** Type of an event, and what it tells. */
  EVENT: 6,
  /** Bytes indicated. */
  INDICATION: 7,
  /** An OID. */
  OID: 8,
} as const;
export type Told = (typeof Told)[keyof typeof Told];

/** Words a call takes: number, what is told, its two numbers, the answer and its bytes. */
const STRIDE = 6;
/** No answer yet, or none that is worth telling. */
const UNANSWERED = -1;

/** The last calls on something. */
export class CallRing {
  readonly #names: string[] = [];
  readonly #words: number[] = [];
  #next = 0;

  /** `number` is the call's number on the binding: it tells the order across objects. */
  note(name: string, number: number, told: Told = Told.NOTHING, first = 0, second = 0): void {
    const at = this.#next * STRIDE;
    this.#names[this.#next] = name;
    this.#words[at] = number;
    this.#words[at + 1] = told;
    this.#words[at + 2] = first;
    this.#words[at + 3] = second;
    this.#words[at + 4] = UNANSWERED;
    this.#words[at + 5] = 0;
    this.#next = (this.#next + 1) % CALLS_KEPT;
  }

  /** What the last call of that number was answered, if it is still among those kept. */
  answer(number: number, status: number, bytes: number): void {
    for (let at = 0; at < this.#words.length; at += STRIDE) {
      if (this.#words[at] !== number) continue;
      this.#words[at + 4] = status;
      this.#words[at + 5] = bytes;
    }
  }

  /** Oldest first. */
  list(): string[] {
    const out: string[] = [];
    for (let i = 0; i < this.#names.length; i++) {
      const at = this.#names.length < CALLS_KEPT ? i : (this.#next + i) % CALLS_KEPT;
      out.push(this.#text(at));
    }
    return out;
  }

  #text(index: number): string {
    const at = index * STRIDE;
    const [number, told, first, second, answer, bytes] = this.#words.slice(at, at + STRIDE) as [
      number,
      Told,
      number,
      number,
      number,
      number,
    ];
    const what = tellingOf(told, first, second);
    const answered = answer === UNANSWERED ? '' : `; ${ndisStatusName(answer)}, ${bytesText(bytes)} taken`;
    return `#${number} ${this.#names[index]}${what === '' ? '' : `: ${what}`}${answered}`;
  }
}

function tellingOf(told: Told, first: number, second: number): string {
  switch (told) {
    case Told.BLOCKS:
      return count(first, 'block');
    case Told.STATUS:
      return ndisStatusName(first);
    case Told.LISTS:
      return `${count(first, 'list')}, ${bytesText(second)}`;
    case Told.RESULT:
      return `${ndisStatusName(first)}, ${bytesText(second)}`;
    case Told.DISCONNECT:
      return `${nameIn(TcpDisconnectFlag, first)}, ${bytesText(second)}`;
    case Told.EVENT:
      return eventText(first, second);
    case Told.INDICATION:
      return bytesText(first);
    case Told.OID:
      return `0x${(first >>> 0).toString(16)}`;
    default:
      return '';
  }
}

function eventText(type: number, information: number): string {
  const name = nameIn(TcpOffloadEventType, type);
  if (type === TcpOffloadEventType.INDICATE_RETRIEVE) return `${name}, ${nameIn(TcpUploadReason, information)}`;
  return type === TcpOffloadEventType.INDICATE_SEND_BACKLOG_CHANGE ? `${name}, ${bytesText(information)}` : name;
}

function nameIn(names: Readonly<Record<string, number>>, value: number): string {
  return Object.entries(names).find(([, other]) => other === value)?.[0] ?? `${value}`;
}

function count(n: number, what: string): string {
  return `${n} ${what}${n === 1 ? '' : 's'}`;
}

function bytesText(n: number): string {
  return count(n, 'byte');
}

/** What is noted of a data call. */
export function toldOfPosting(operation: DataOperation): Told {
  return operation === DataOperation.DISCONNECT ? Told.DISCONNECT : Told.LISTS;
}
