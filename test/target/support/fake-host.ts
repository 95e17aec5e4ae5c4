/** A protocol driver that does what the test says and writes down all that happens to it. */
import {
  type BytesConsumed,
  type NdisOffloadHandle,
  NdisStatus,
  ndisStatusName,
  type OidRequest,
  type ProtocolDriver,
  type ProtocolOffloadBlock,
  type StatusIndication,
  TcpOffloadEventType,
} from '../../../src/ndis/protocol.ts';
import { copyFromNetBuffer, dataLengthOf, type NetBufferList } from '../../../src/state/net-buffer-list.ts';

/** A list that came back, as it was at that moment. */
export interface Done {
  readonly list: NetBufferList;
  readonly status: string;
  readonly bytes: number;
}

export interface TcpEventSeen {
  readonly handle: NdisOffloadHandle;
  readonly type: number;
  readonly information: number;
}

export interface IndicationAnswer {
  readonly status: number;
  readonly consumed: number;
}

const EVENT_NAMES: Record<number, string> = {
  [TcpOffloadEventType.INDICATE_DISCONNECT]: 'disconnect',
  [TcpOffloadEventType.INDICATE_RETRIEVE]: 'retrieve',
  [TcpOffloadEventType.INDICATE_ABORT]: 'abort',
  [TcpOffloadEventType.INDICATE_SEND_BACKLOG_CHANGE]: 'backlog',
};

export function bytesOf(list: NetBufferList): Uint8Array {
  const out = new Uint8Array(dataLengthOf(list));
  let at = 0;
  for (let nb = list.firstNetBuffer; nb !== null; nb = nb.next) {
    at += copyFromNetBuffer(nb, 0, nb.dataLength, out, at);
  }
  return out;
}

export class FakeHost implements ProtocolDriver {
  readonly name = 'fake-host';
  readonly hasChimney = true;
  /** One line per call from below, in order. */
  log: string[] = [];
  frames: Uint8Array[] = [];
  receiveDones = 0;
  sends: Done[] = [];
  receives: Done[] = [];
  disconnects: Done[] = [];
  forwards: Done[] = [];
  frameSends: Done[] = [];
  events: TcpEventSeen[] = [];
  statuses: number[] = [];
  statusBuffers: unknown[] = [];
  completions: { kind: string; root: ProtocolOffloadBlock }[] = [];
  queries: { block: ProtocolOffloadBlock | null; code: number; nrd: number; hrd: number }[] = [];
  oidCompletions: { request: OidRequest; status: number }[] = [];
  /** Indications that were accepted and not returned, and what was indicated. */
  kept: NetBufferList[] = [];
  indicated: Uint8Array[] = [];
  /** Set while the target calls from inside an entry: must never happen. */
  insideEntry = false;

  // What the test decides.
  answer: (bytes: Uint8Array, list: NetBufferList) => IndicationAnswer = (bytes) => ({
    status: NdisStatus.SUCCESS,
    consumed: bytes.length,
  });
  onIndicate: ((handle: NdisOffloadHandle, bytes: Uint8Array) => void) | null = null;
  onReceiveComplete: (() => void) | null = null;
  onTerminate: ((root: ProtocolOffloadBlock) => void) | null = null;
  onQuery: (() => void) | null = null;
  /** HRD with which a reachability query is answered; null: left as it is. */
  hrdAnswer: number | null = 0;

  receiveNetBufferLists(_context: unknown, lists: NetBufferList): void {
    for (let list: NetBufferList | null = lists; list !== null; list = list.next) this.frames.push(bytesOf(list));
    this.log.push('frame');
  }
  receiveDone(): void {
    this.receiveDones++;
  }
  sendNetBufferListsComplete(_context: unknown, lists: NetBufferList): void {
    this.#note('frame sent', this.frameSends, lists);
  }
  statusEx(_context: unknown, indication: StatusIndication): void {
    this.#outside();
    this.statuses.push(indication.statusCode);
    this.statusBuffers.push(indication.statusBuffer);
    this.log.push(`status ${ndisStatusName(indication.statusCode)}`);
  }
  oidRequestComplete(_context: unknown, request: OidRequest, status: number): void {
    this.oidCompletions.push({ request, status });
  }

  initiateOffloadComplete(_context: unknown, root: ProtocolOffloadBlock): void {
    this.#completed('initiate', root);
  }
  terminateOffloadComplete(_context: unknown, root: ProtocolOffloadBlock): void {
    this.#completed('terminate', root);
    this.onTerminate?.(root);
  }
  updateOffloadComplete(_context: unknown, root: ProtocolOffloadBlock): void {
    this.#completed('update', root);
  }
  queryOffloadComplete(_context: unknown, root: ProtocolOffloadBlock): void {
    this.#completed('query', root);
    this.onQuery?.();
  }
  invalidateOffloadComplete(_context: unknown, root: ProtocolOffloadBlock): void {
    this.#completed('invalidate', root);
  }
  indicateOffloadEvent(_context: unknown, block: ProtocolOffloadBlock | null, code: number): void {
    this.#outside();
    const cached = block?.cachedState as { hostReachabilityDelta: number };
    const delegated = block?.delegatedState as { nicReachabilityDelta: number };
    this.queries.push({ block, code, nrd: delegated.nicReachabilityDelta, hrd: cached.hostReachabilityDelta });
    this.log.push('reachability query');
    if (this.hrdAnswer !== null) cached.hostReachabilityDelta = this.hrdAnswer;
  }

  tcpOffloadSendComplete(_context: unknown, lists: NetBufferList): void {
    this.#note('send', this.sends, lists);
  }
  tcpOffloadReceiveComplete(_context: unknown, lists: NetBufferList): void {
    this.#note('receive', this.receives, lists);
    this.onReceiveComplete?.();
  }
  tcpOffloadDisconnectComplete(_context: unknown, list: NetBufferList): void {
    this.#note('disconnect', this.disconnects, list);
  }
  tcpOffloadForwardComplete(_context: unknown, lists: NetBufferList): void {
    this.#note('forward', this.forwards, lists);
  }
  tcpOffloadEvent(handle: NdisOffloadHandle, type: number, information: number): void {
    this.#outside();
    this.events.push({ handle, type, information });
    this.log.push(`event ${EVENT_NAMES[type]} ${information}`);
  }
  tcpOffloadReceiveIndicate(
    handle: NdisOffloadHandle,
    list: NetBufferList,
    status: number,
    consumed: BytesConsumed,
  ): number {
    this.#outside();
    const bytes = bytesOf(list);
    this.indicated.push(bytes);
    this.log.push(`indicate ${bytes.length} ${ndisStatusName(status)}${list.next === null ? '' : ' CHAINED'}`);
    const answer = this.answer(bytes, list);
    consumed.value = answer.consumed;
    if (answer.status === NdisStatus.SUCCESS) this.kept.push(list);
    this.onIndicate?.(handle, bytes);
    return answer.status;
  }

  /** What has been written down since the last look. */
  takeLog(): string[] {
    const log = this.log;
    this.log = [];
    return log;
  }

  #completed(kind: string, root: ProtocolOffloadBlock): void {
    this.#outside();
    this.completions.push({ kind, root });
    this.log.push(`${kind} complete`);
  }

  #note(what: string, into: Done[], lists: NetBufferList): void {
    this.#outside();
    const parts: string[] = [];
    let list: NetBufferList | null = lists;
    while (list !== null) {
      const next: NetBufferList | null = list.next;
      list.next = null;
      const done = { list, status: ndisStatusName(list.status), bytes: list.tcpOffloadBytesTransferred };
      into.push(done);
      parts.push(`${done.status}:${done.bytes}`);
      list = next;
    }
    this.log.push(`${what} ${parts.join(' ')}`);
  }

  #outside(): void {
    if (this.insideEntry) throw new Error('the target called up from inside an entry');
  }
}
