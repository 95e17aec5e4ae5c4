/** Frames over a WebSocket: one a message, bounded by what the socket has not sent. */
import { describe, expect, test } from 'vitest';
import { VirtualRuntime } from '../../src/base/virtual-runtime.ts';
import { type FrameSocket, WebSocketLink, type WebSocketLinkOptions } from '../../src/link/browser/index.ts';
import type { LinkReceiver } from '../../src/link/link.ts';
import { Trace } from '../../src/trace/trace.ts';

class HandSocket implements FrameSocket {
  binaryType = 'blob';
  readyState = 1;
  bufferedAmount = 0;
  readonly sent: Uint8Array[] = [];
  closes = 0;
  onopen: ((event: never) => void) | null = null;
  onmessage: ((event: never) => void) | null = null;
  onclose: ((event: never) => void) | null = null;

  send(bytes: Uint8Array<ArrayBuffer>): void {
    this.sent.push(bytes);
    this.bufferedAmount += bytes.length;
  }
  close(): void {
    this.closes++;
    this.readyState = 2;
  }
  opens(): void {
    this.readyState = 1;
    this.onopen?.({} as never);
  }
  closesNow(): void {
    this.readyState = 3;
    this.onclose?.({} as never);
  }
  gets(data: unknown): void {
    this.onmessage?.({ data } as never);
  }
}

function linkOver(socket: HandSocket, options: Partial<WebSocketLinkOptions> = {}) {
  const runtime = new VirtualRuntime();
  const trace = new Trace();
  const said: string[] = [];
  const link = new WebSocketLink({ runtime, trace, socket, onClosed: () => said.push('closed'), ...options });
  const frames: number[][] = [];
  const receiver: LinkReceiver = {
    receive: (bytes, at, length) => frames.push([...bytes.subarray(at, at + length)]),
    receiveDone: () => said.push('done'),
    linkState: (isUp) => said.push(isUp ? 'up' : 'down'),
    writable: () => said.push('writable'),
  };
  link.start(receiver);
  return { runtime, trace, link, frames, said };
}

describe('a link over a WebSocket', () => {
  test('sends each frame as one binary message of its own, and keeps nothing that it borrowed', () => {
    const socket = new HandSocket();
    const { link } = linkOver(socket);
    const lent = Uint8Array.of(9, 1, 2, 3, 9);
    expect([link.transmit(lent, 1, 3), link.transmit(lent, 3, 1)]).toEqual([true, true]);
    lent.fill(0);
    expect(socket.sent.map((one) => [...one])).toEqual([[1, 2, 3], [3]]);
    expect(socket.binaryType).toBe('arraybuffer');
  });

  test('messages that are there together are one batch', () => {
    const socket = new HandSocket();
    const { runtime, frames, said } = linkOver(socket);
    socket.gets(Uint8Array.of(1, 2).buffer);
    socket.gets(Uint8Array.of(3).buffer);
    expect([frames, said]).toEqual([[[1, 2], [3]], []]);
    runtime.advance(1);
    expect(said).toEqual(['done']);
    socket.gets(Uint8Array.of(4).buffer);
    runtime.advance(1);
    expect(said).toEqual(['done', 'done']);
  });

  test('says no while too much waits in the socket, and when half of it has left that there is room', () => {
    const socket = new HandSocket();
    const { runtime, trace, link, said } = linkOver(socket, { queueBytes: 4000 });
    const frame = new Uint8Array(1500);
    expect([1, 2, 3].map(() => link.transmit(frame, 0, 1500))).toEqual([true, true, false]);
    expect(trace.counters()).toEqual({ LINK_QUEUE_FULL: 1 });
    runtime.advance(50_000);
    expect(said).toEqual([]);
    socket.bufferedAmount = 2000;
    runtime.advance(2_000);
    expect(said).toEqual(['writable']);
    expect(link.transmit(frame, 0, 1500)).toBe(true);
    runtime.advance(50_000);
    expect(said).toEqual(['writable']);
  });

  test.each([
    ['text', 'hello'],
    ['nothing', new ArrayBuffer(0)],
    ['a giant', new ArrayBuffer(1519)],
    ['a blob', { size: 3 }],
  ])('a message that makes no sense (%s) is counted, and the next one is taken', (_, data) => {
    const socket = new HandSocket();
    const { trace, frames, said } = linkOver(socket);
    socket.gets(data);
    socket.gets(Uint8Array.of(7).buffer);
    expect([trace.counters(), frames, said]).toEqual([{ LINK_MESSAGE_BAD: 1 }, [[7]], []]);
  });

  test('a giant is lost, and so is what is sent over a socket that is not open', () => {
    const socket = new HandSocket();
    const { trace, link } = linkOver(socket);
    expect(link.transmit(new Uint8Array(1519), 0, 1519)).toBe(true);
    expect(trace.counters()).toEqual({ LINK_FRAME_LOST: 1 });
    socket.readyState = 2;
    expect(link.transmit(new Uint8Array(60), 0, 60)).toBe(true);
    expect(socket.sent).toEqual([]);
  });

  test('a socket that connects is a link that is down until it has connected', () => {
    const socket = new HandSocket();
    socket.readyState = 0;
    const { runtime, said } = linkOver(socket);
    expect(said).toEqual([]);
    runtime.settle();
    expect(said).toEqual(['down']);
    socket.opens();
    expect(said).toEqual(['down', 'up']);
  });

  test('a socket that closes, or was closed already, is a link that went down, told once', () => {
    const socket = new HandSocket();
    const { said, link, runtime } = linkOver(socket);
    socket.gets(Uint8Array.of(1).buffer);
    socket.closesNow();
    socket.closesNow();
    runtime.advance(1_000);
    // What came before it is taken to its end first.
    expect(said).toEqual(['done', 'down', 'closed']);
    link.close();
    expect(socket.closes).toBe(0);

    const late = new HandSocket();
    late.readyState = 3;
    const other = linkOver(late);
    other.runtime.settle();
    expect(other.said).toEqual(['down', 'closed']);
  });

  test('closing closes the socket, once, and whoever closed hears nothing more', () => {
    const socket = new HandSocket();
    const { said, link, runtime } = linkOver(socket, { queueBytes: 1600 });
    const { onmessage } = socket;
    link.transmit(new Uint8Array(1500), 0, 1500);
    link.transmit(new Uint8Array(1500), 0, 1500);
    socket.gets(Uint8Array.of(1).buffer);
    link.close();
    link.close();
    onmessage?.({ data: Uint8Array.of(2).buffer } as never);
    socket.bufferedAmount = 0;
    runtime.advance(10_000);
    socket.closesNow();
    expect([said, socket.closes]).toEqual([[], 1]);
  });

  test('an MTU out of range is told', () => {
    expect(() => linkOver(new HandSocket(), { mtu: 67 })).toThrow('mtu: expected 68 to 65535, got 67');
  });
});
