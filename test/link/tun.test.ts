/** A real TUN device: the kernel's packets arrive, ours reach the kernel's sockets. Root only. */
import { execFileSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { checksumAdd, checksumFinish } from '../../src/base/checksum.ts';
import type { LinkReceiver } from '../../src/link/link.ts';
import { TunLink } from '../../src/link/node/tun.ts';
import { describeIf, requires } from '../support/requires.ts';

/** A receiver that keeps what comes and lets a test wait for it. */
class Inbox implements LinkReceiver {
  readonly frames: Uint8Array[] = [];
  states: boolean[] = [];
  receive(bytes: Uint8Array, at: number, length: number): void {
    this.frames.push(bytes.slice(at, at + length));
  }
  receiveDone(): void {}
  linkState(isUp: boolean): void {
    this.states.push(isUp);
  }
  writable(): void {}
  async until(matches: (frame: Uint8Array) => boolean): Promise<Uint8Array> {
    for (let i = 0; i < 500; i++) {
      const found = this.frames.find(matches);
      if (found !== undefined) return found;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    throw new Error('the packet did not come');
  }
}

const isUdpTo = (port: number) => (f: Uint8Array) => f[0]! >> 4 === 4 && f[9] === 17 && f[22]! * 256 + f[23]! === port;

describeIf(requires.tun, 'a TUN device', () => {
  const open = () =>
    TunLink.open({ addresses: [{ address: Uint8Array.of(10, 213, 7, 1), prefixLength: 24 }], mtu: 1400 });

  test('is made, addressed and brought up with its MTU, and is gone after close', async () => {
    const link = open();
    const shown = execFileSync('ip', ['addr', 'show', 'dev', link.name], { encoding: 'utf8' });
    expect(shown).toContain('mtu 1400');
    expect(shown).toContain('10.213.7.1/24');
    expect(shown).toMatch(/<[^>]*\bUP\b/);
    await link.close();
    expect(() => execFileSync('ip', ['link', 'show', 'dev', link.name], { stdio: 'pipe' })).toThrow();
  });

  test('carries a datagram of the kernel to us and our answer to the kernel', async () => {
    const link = open();
    const inbox = new Inbox();
    link.start(inbox);
    const socket = createSocket('udp4');
    try {
      await new Promise<void>((resolve) => socket.bind(0, '10.213.7.1', resolve));
      socket.send('ping', 4711, '10.213.7.2');
      const packet = await inbox.until(isUdpTo(4711));
      expect(new TextDecoder().decode(packet.subarray(28))).toBe('ping');

      // The answer: addresses and ports swapped, checksum of the header anew, none for UDP.
      const answer = packet.slice();
      answer.set(packet.subarray(16, 20), 12);
      answer.set(packet.subarray(12, 16), 16);
      answer.set(packet.subarray(22, 24), 20);
      answer.set(packet.subarray(20, 22), 22);
      answer.fill(0, 10, 12);
      answer.fill(0, 26, 28);
      const sum = checksumFinish(checksumAdd(0, answer, 0, 20));
      answer[10] = sum >> 8;
      answer[11] = sum & 255;
      const received = once(socket, 'message');
      expect(link.transmit(answer, 0, answer.length)).toBe(true);
      expect(String((await received)[0])).toBe('ping');
    } finally {
      socket.close();
      await link.close();
    }
  });

  test('that is removed by somebody else is a link that went down, not a crash', async () => {
    const link = open();
    const inbox = new Inbox();
    link.start(inbox);
    execFileSync('ip', ['link', 'delete', 'dev', link.name]);
    for (let i = 0; i < 200 && inbox.states.length === 0; i++) await new Promise((r) => setTimeout(r, 10));
    expect(inbox.states).toEqual([false]);
    expect(link.transmit(new Uint8Array(100), 0, 100)).toBe(true);
    await link.close();
  });

  test('options out of range are refused with what was expected', () => {
    expect(() => TunLink.open({ mtu: 70000 })).toThrow('mtu: expected an integer from 576 to 65535, got 70000');
    expect(() => TunLink.open({ name: 'a name that is far too long' })).toThrow('name: expected 1 to 15 characters');
  });
});
