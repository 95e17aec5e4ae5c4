/**
 * A script, played to one subject: what is sent to it and what its application does, step by step; and what became of each step.
 *
 *   < S 0:0(0) win 65535 <mss 1460>   a segment of the peer, in the words of the packet scripts; `ecr last` echoes the subject's last timestamp
 *   listen, connect                   the application opens; a script that says neither begins with listen
 *   write N, shutdown, close, abort   the application's calls
 *   hold, read                        it stops reading, and reads again
 *
 * A step that is a function makes packets of its own.
 */
import { parsePacket } from '../../../support/packet-script/segment-text.ts';
import { type Envelope, RawPeer } from './raw-peer.ts';
import type { Application, Family, Subject } from './subject.ts';

/** Packets that no line can say. */
export interface Packets {
  readonly says: string;
  readonly make: (peer: RawPeer) => Uint8Array | readonly Uint8Array[];
}

export type Step = string | Packets;

export interface Script {
  readonly name: string;
  readonly family?: Family;
  readonly receiveBuffer?: number;
  readonly steps: readonly Step[];
}

/** What became of one step: a line to be compared. */
export interface Outcome {
  readonly step: string;
  readonly said: string;
  readonly app: string;
  readonly state: string;
}

let scripts = 0;
const PORT_FIRST = 2000;
const PORTS = 30_000;

/** A segment with something of its own around it. */
export function segment(text: string, envelope: Envelope): Packets {
  return {
    says: `< ${text} (${Object.keys(envelope).join(', ')})`,
    make: (peer) => peer.packet(parsePacket(text), envelope),
  };
}

/** Plays the script; one outcome for each step. */
export async function play(script: Script, subject: Subject): Promise<Outcome[]> {
  const n = scripts++ % PORTS;
  const family = script.family ?? 4;
  const peer = new RawPeer(family, PORT_FIRST + n, 33_000 + n);
  const { receiveBuffer } = script;
  const application = subject.open({ family, ...(receiveBuffer === undefined ? {} : { receiveBuffer }) });
  const outcomes: Outcome[] = [];
  try {
    if (script.steps[0] !== 'connect') application.listen(peer.subjectPort);
    for (const step of script.steps) outcomes.push(await playStep(step, subject, application, peer));
  } finally {
    await subject.close();
  }
  return outcomes;
}

async function playStep(step: Step, subject: Subject, application: Application, peer: RawPeer): Promise<Outcome> {
  const said: string[] = [];
  const note = (packets: readonly Uint8Array[]): void => {
    for (const packet of packets) {
      const seen = peer.read(packet);
      if (seen !== null) said.push(seen.text);
    }
  };
  // What timers of a slow minute have sent meanwhile is no answer to anything.
  subject.collect();
  if (typeof step === 'string') {
    if (step.startsWith('<')) note(subject.exchange(peer.packet(parsePacket(step.slice(1)))));
    else call(step, application, peer);
  } else {
    const made = step.make(peer);
    for (const packet of made instanceof Uint8Array ? [made] : made) note(subject.exchange(packet));
  }
  note(subject.collect());
  note(subject.ripen());
  const state = application.state();
  if (subject.move !== undefined) {
    await subject.move();
    const before = said.length;
    note(subject.collect());
    // Whoever takes the connection over tells its window, and time passes: what its timers send again was said before.
    const known = `. ${peer.furthest} ack ${peer.acknowledged}`;
    const isNews = (text: string): boolean =>
      !(text.startsWith(known) && !text.includes('sack')) && !said.slice(0, before).includes(text);
    said.splice(before, said.length, ...said.slice(before).filter(isNews));
  }
  return {
    step: typeof step === 'string' ? step : step.says,
    said: said.length === 0 ? '-' : withoutPiggyback(said).join(' | '),
    app: application.seen(),
    state,
  };
}

/** An ACK by itself says nothing that a segment with text, sent at the same moment, does not say too. RFC 9293 3.8.6.3. */
function withoutPiggyback(said: readonly string[]): string[] {
  const ackOf = (text: string): string | undefined => / ack -?\d+/.exec(text)?.[0];
  return said.filter((text, i) => {
    const isBare = /^\. -?\d+ ack/.test(text) && !text.includes('sack');
    return !isBare || !said.some((other, k) => k > i && ackOf(other) === ackOf(text) && !/^\. -?\d+ ack/.test(other));
  });
}

function call(step: string, application: Application, peer: RawPeer): void {
  const [word, number] = step.split(' ');
  switch (word) {
    case 'connect':
      application.connect(peer.subjectPort, peer.port);
      break;
    case 'write':
      application.write(Number(number));
      break;
    case 'shutdown':
    case 'close':
    case 'abort':
    case 'unlisten':
      application[word]();
      break;
    case 'hold':
    case 'read':
      application.holdReading(word === 'hold');
      break;
    default:
      throw new Error(`"${step}" is no step`);
  }
}
